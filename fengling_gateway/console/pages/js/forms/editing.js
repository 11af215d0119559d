// An entity while somebody edits it: what it was, what it is to be, and what the API makes of it.
//
// Whatever is typed is tried out (?dry_run=true) as soon as somebody pauses: so errors and what is
// odd are told before anything is saved.

import { Problem, api, pathOf } from "../api.js";
import { KINDS, changedFields, idOf, ownFields, said } from "../text/kinds.js";
import { isWithin, pathText, valueAt, withValue } from "./paths.js";

const PAUSE_MS = 250;

export class Editing {
  #timer = null;
  #asked = 0;
  #told = new Set();

  // base: the entity as it is; null: it is to be made. changed: called after each change.
  constructor(kind, base, { fields = {}, id = "", changed }) {
    this.kind = kind;
    this.list = KINDS[kind].list;
    this.changed = changed;
    this.typed = new Map(); // what is being typed, where it is not yet a value
    this.comment = "";
    this.begin(base, { id, fields });
  }

  // Begin again, from the entity as it is now.
  begin(base, { id = "", fields = {} } = {}) {
    this.base = base;
    this.id = base ? idOf(this.kind, base) : id;
    this.before = base ? ownFields(base) : null;
    this.fields = base ? { ...this.before } : { ...KINDS[this.kind].defaults, ...fields };
    this.checked = null; // the newest answer of a dry run
    this.error = null; // the newest error, of a dry run or of saving
    this.conflict = null; // the entity as somebody else has made it meanwhile
    this.sent = null; // what is being saved: its fields and comment
    this.isChecking = false;
    this.isSaving = false;
    this.typed.clear();
    this.#asked++;
    clearTimeout(this.#timer);
  }

  // Begin again from what has been saved, with what has been typed while it was.
  goOn(base) {
    const { sent, fields, typed, comment } = this;
    const late = changedFields(this.kind, sent.fields, fields);
    const stillTyped = [...typed];
    this.begin(base);
    this.comment = comment === sent.comment ? "" : comment;
    if (!late.length) return;
    this.fields = { ...this.fields, ...Object.fromEntries(late.map((name) => [name, fields[name]])) };
    this.typed = new Map(stillTyped);
    this.checkSoon();
  }

  get isNew() {
    return this.base === null;
  }

  get isDirty() {
    return this.isNew || changedFields(this.kind, this.before, this.fields).length > 0;
  }

  get isTouched() {
    return this.isNew ? this.checked !== null || this.error !== null || this.id !== "" : this.isDirty;
  }

  // What is asked before it is thrown away; null: nothing has been typed.
  get question() {
    const isTyped = this.isNew ? this.checked !== null || this.error !== null || this.isChecking : this.isDirty;
    return isTyped ? "What you have changed is not saved. Leave all the same?" : null;
  }

  at(steps) {
    return valueAt(this.fields, steps);
  }

  set(steps, value) {
    this.fields = withValue(this.fields, steps, value);
    this.checkSoon();
  }

  setId(id) {
    this.id = id.trim();
    this.checkSoon();
  }

  checkSoon() {
    clearTimeout(this.#timer);
    // (What is typed while it is saved is tried out afterwards, upon what it is then.)
    if (!this.isSaving) this.#timer = setTimeout(() => this.check(), PAUSE_MS);
    this.isChecking = true;
    this.changed();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  // Try out what is there now; the newest answer counts.
  async check() {
    const mine = ++this.#asked;
    if (!this.isDirty) {
      this.checked = this.error = null;
    } else {
      try {
        const answer = await this.#send({ dry_run: true });
        if (mine !== this.#asked) return;
        [this.checked, this.error] = [answer, null];
      } catch (error) {
        if (mine !== this.#asked) return;
        [this.checked, this.error] = [null, error];
      }
    }
    this.isChecking = false;
    this.changed();
  }

  // Returns what the API answers; fails with `Problem`.
  async save({ force = false, takeOver = false } = {}) {
    clearTimeout(this.#timer);
    this.#asked++;
    this.isSaving = true;
    this.sent = { fields: this.fields, comment: this.comment };
    this.changed();
    try {
      const answer = await this.#send({ wait: "all", timeout: "5s", comment: this.comment, force, take_over: takeOver });
      this.error = null;
      return answer;
    } catch (error) {
      this.error = error;
      throw error;
    } finally {
      this.isSaving = this.isChecking = false;
      // (What has been typed meanwhile is not what was refused.)
      if (this.error && this.fields !== this.sent?.fields) this.checkSoon();
      else this.changed();
    }
  }

  #send(query) {
    const body = said(this.kind, this.fields);
    if (!this.isNew) {
      return api("PUT", pathOf(this.list, this.id), { body, query, version: this.base.version });
    }
    const name = this.kind === "setting" ? { key: this.id } : this.id ? { id: this.id } : {};
    return api("POST", `/${this.list}`, { body: { ...name, ...body }, query });
  }

  // Problems, as fields show them: each field asks for its own, and what nobody asks for is left.

  startTelling() {
    this.#told.clear();
  }

  problemsAt(steps, { deep = true } = {}) {
    const place = pathText(steps);
    return this.#problems().filter((one) => {
      const fits = deep ? isWithin(one.path, place) && one.path !== "" : one.path === place;
      if (fits) this.#told.add(one);
      return fits;
    });
  }

  untold() {
    return this.#problems().filter((one) => !this.#told.has(one));
  }

  #problems() {
    return this.error instanceof Problem ? this.error.problems : [];
  }
}
