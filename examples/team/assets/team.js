// Conveniences; everything works without them.

// Copies the text of a field.
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

// Where the control that was used is gone with the old content, goes on from the new.
document.addEventListener("htmx:afterSettle", () => {
  if (document.activeElement === document.body) {
    document.getElementById("main").focus({ preventScroll: true });
  }
});

// Where no page of ours answered, says so, and shows again what holds.
function unanswered(event) {
  const said = document.createElement("p");
  said.className = "notice";
  said.textContent = "There was no answer, so this may not have been done. Load the page again to see.";
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
