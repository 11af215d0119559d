// Who has signed in, and what they may.

import { Problem, api, get, onSignedOut } from "./api.js";

export const session = { person: null, isOver: false };

const changed = new EventTarget();

export function onSession(listener) {
  changed.addEventListener("change", listener);
}

export async function startSession() {
  onSignedOut(() => {
    if (!session.person) return signIn();
    session.isOver = true;
    changed.dispatchEvent(new Event("change"));
  });
  session.person = await get("/session", undefined, { unattended: true });
}

const ROLES = ["viewer", "editor", "admin"];

// Whether they may do what somebody of a role may: viewer, editor or admin. The API decides; this
// is so that nobody is offered what is refused.
export function may(role) {
  return ROLES.indexOf(session.person?.role) >= ROLES.indexOf(role);
}

// Whether they see what is of some tenants only: of all else the API says that it is not there.
export function isLimited() {
  return Array.isArray(session.person?.tenants);
}

export function signIn() {
  const here = location.pathname + location.search;
  location.assign(here === "/" ? "/login" : `/login?to=${encodeURIComponent(here)}`);
}

export async function signOut() {
  try {
    await api("DELETE", "/session");
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
  }
  location.assign("/login");
}
