// What pages of single entities have in common: reading it, editing it, being told of others' changes.

import { get, pathOf } from "../api.js";
import { Following } from "../following.js";
import { editor, meet } from "../forms/editor.js";
import { Editing } from "../forms/editing.js";
import { onLive } from "../live.js";
import { guardWith } from "../router.js";
import { KINDS } from "../text/kinds.js";

export class EntityPage {
  // `draw` returns what is shown once the entity is known, `saved` is called with the answer to a save.
  constructor(page, kind, { id, fields, form, saved }) {
    this.page = page;
    this.kind = kind;
    this.isNew = id === null;
    this.id = id;
    this.error = null;
    this.editing = null;
    this.following = new Following(kind, { changed: () => page.redraw(), signal: page.signal });
    this.tab = "Form";
    this.form = form;
    this.saved = saved;
    if (this.isNew) this.begin(null, fields);
    page.signal.addEventListener("abort", () => this.editing?.stop());
    onLive("revision", (event) => this.heard(event), page.signal);
    guardWith(() => (this.editing?.isTouched && !this.isDone ? "What you have changed is not saved. Leave all the same?" : null));
  }

  begin(entity, fields) {
    this.editing = new Editing(this.kind, entity, { fields, changed: () => this.page.redraw() });
  }

  async load() {
    if (this.isNew) return;
    try {
      const entity = await get(pathOf(KINDS[this.kind].list, this.id), undefined, { signal: this.page.signal });
      this.error = null;
      this.following.load(entity);
      if (!this.editing || !this.editing.isDirty) this.begin(entity);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.error = error;
    }
    this.page.redraw();
  }

  // Somebody has changed something; if it is this one, and it is being edited, it is a conflict.
  async heard({ changes, change_count: count }) {
    const isMine = count > changes.length || changes.some((one) => one.kind === this.kind && one.id === this.id);
    if (this.isNew || !isMine || !this.editing || this.editing.isSaving) return;
    if (this.editing.isDirty) await meet(this.editing).catch(() => {});
    else await this.load();
  }

  draw({ aside } = {}) {
    return editor(this.editing, {
      tab: this.tab,
      setTab: (tab) => {
        this.tab = tab;
        this.page.redraw();
      },
      form: () => this.form(this.editing),
      saved: (answer) => {
        this.isDone = this.isNew && answer !== null;
        if (answer?.entity && !this.isNew) this.editing.goOn(answer.entity);
        this.saved(answer);
      },
      aside,
    });
  }
}
