// Begins: who has signed in, which pages there are, and what goes on.

import { h, render } from "./dom.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { Page } from "./page.js";
import { openPalette } from "./palette.js";
import { empty, failed, heading, linkButton } from "./parts.js";
import { at, start } from "./router.js";
import { isLimited, startSession } from "./session.js";
import { main, showPlace, startShell } from "./shell.js";
import { comparePage } from "./views/compare.js";
import { discoveredPage } from "./views/discovered.js";
import { explainPage } from "./views/explain.js";
import { fleetPage } from "./views/fleet.js";
import { historyPage } from "./views/history.js";
import { homePage } from "./views/home.js";
import { kubernetesPage } from "./views/kubernetes.js";
import { revisionPage } from "./views/revision.js";
import { routePage } from "./views/route.js";
import { routesPage } from "./views/routes.js";
import { servicePage } from "./views/service.js";
import { servicesPage } from "./views/services.js";
import { settingsPage } from "./views/settings.js";

at("/", (page) => (isLimited() ? routesPage : homePage)(page));
at("/routes", routesPage);
at("/routes/:id", routePage);
at("/services", servicesPage);
at("/services/:id", servicePage);
at("/kubernetes", kubernetesPage);
at("/kubernetes/:namespace/:name", discoveredPage);
at("/history", historyPage);
at("/history/diff", comparePage);
at("/history/:id", revisionPage);
at("/explain", explainPage);
at("/fleet", fleetPage);
at("/settings", settingsPage);

let shown = null;

function show({ view, params, query, path }) {
  const isFirst = shown === null;
  shown?.end();
  const page = (shown = new Page(main, { params, query, path }));
  main.replaceChildren();
  showPlace(path);
  (view ?? nothing)(page);
  scrollTo(0, 0);
  // Where somebody goes on by keyboard, and what a screen reader tells.
  // (Browsers heed `autofocus` only while a document is being loaded.)
  if (!isFirst) (main.querySelector("[autofocus]") ?? main.querySelector("h1"))?.focus({ preventScroll: true });
}

function nothing(page) {
  page.title("Nothing here");
  page.draw(() => [heading("Nothing here"), empty(`There is no page ${page.path}.`, "", linkButton("Home", "/"))]);
}

async function begin() {
  const app = document.getElementById("app");
  try {
    await startSession();
  } catch (error) {
    // (Without a session the browser is on its way to where one signs in.)
    if (error.status !== 401) render(app, h("main", {}, heading("Fengling"), failed(error, () => location.reload())));
    return;
  }
  startShell(app);
  if (!isLimited()) startLive();
  startKeys(openPalette);
  start(show);
}

begin();
