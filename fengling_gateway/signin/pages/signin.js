// Signs in by the link in the fragment, which no server has seen, and goes on.

const SESSION = "/api/console/session";
const to = document.body.dataset.to;
const note = document.getElementById("note");
const ways = document.getElementById("ways");
const link = new URLSearchParams(location.hash.slice(1)).get("link");

function say(text, wrong = false) {
  note.textContent = text;
  note.className = wrong ? "wrong" : "quiet";
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`.replaceAll("`", "");
}

async function whoIsSignedIn() {
  const answer = await fetch(SESSION, { headers: { "X-Unattended": "1" } });
  return answer.ok ? answer.json() : null;
}

// Nothing of it is believed here: it is for people to see whom a link is for.
function named(token) {
  try {
    const body = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(body), (one) => one.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)).sub ?? "";
  } catch {
    return "";
  }
}

async function use(token) {
  ways.hidden = true;
  say("Signing in…");
  const answer = await fetch(SESSION, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ link: token }),
  });
  if (answer.ok) {
    location.replace(to);
    return;
  }
  ways.hidden = false;
  const problem = await answer.json().catch(() => ({}));
  say(sentence(problem.detail ?? problem.title ?? `the console answers ${answer.status}`), true);
}

// Somebody else's link would make one work in another's name.
function ask(token, session) {
  say(`You are signed in as ${session.subject}. This link is for ${named(token) || "somebody else"}.`);
  const instead = document.createElement("button");
  instead.className = "button";
  instead.textContent = "Sign in by the link";
  const stay = document.createElement("a");
  stay.className = "button plain";
  stay.textContent = `Stay signed in as ${session.subject}`;
  stay.href = to;
  instead.addEventListener("click", () => {
    instead.remove();
    stay.remove();
    attempt(() => use(token));
  });
  ways.hidden = true;
  note.after(instead, stay);
}

async function begin() {
  const session = await whoIsSignedIn();
  if (!link) {
    if (session) location.replace(to);
    return;
  }
  if (session && session.subject !== named(link)) ask(link, session);
  else await use(link);
}

async function attempt(step) {
  try {
    await step();
  } catch {
    ways.hidden = false;
    say("The console can't be reached. Reload the page to try again.", true);
  }
}

if (link) history.replaceState(null, "", location.pathname + location.search);
attempt(begin);
