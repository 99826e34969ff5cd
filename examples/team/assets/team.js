// Optional enhancements: the pages work without JavaScript.

// Copies the text of a field to the clipboard.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  const said = document.getElementById("copied");
  navigator.clipboard.writeText(field.value).then(
    () => { said.textContent = "Copied."; },
    () => { field.select(); said.textContent = "Press Ctrl+C or ⌘C to copy."; },
  );
});

// If the swap removed the focused control, focuses the new content, so that the keyboard continues there.
document.addEventListener("htmx:afterSettle", () => {
  if (document.activeElement === document.body) {
    document.getElementById("main").focus({ preventScroll: true });
  }
});

// If the server did not respond with one of our pages, shows a notice and resets the changed control.
function unanswered(event) {
  const said = document.createElement("p");
  said.className = "notice";
  said.textContent = "The server did not respond, so your change may not have been saved. Reload the page to check.";
  document.getElementById("notice").replaceChildren(said);
  const control = event.detail.requestConfig.elt;
  if (control.querySelector("select") && !control.querySelector("textarea")) control.reset();
}
document.addEventListener("htmx:sendError", unanswered);
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.serverResponse.includes('<main id="main"')) return;
  event.detail.shouldSwap = false;
  unanswered(event);
});
