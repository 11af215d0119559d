// Before anything is drawn: the theme that somebody has chosen here, so that nothing flashes.
// No module, for those wait until the document is read.
try {
  const chosen = localStorage.getItem("fengling.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing shows what the system says.
}
