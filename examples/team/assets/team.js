// Two conveniences; everything works without them.

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
