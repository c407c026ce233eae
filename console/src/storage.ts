/**
 * What GraphiQL remembers, and where.
 *
 * How the page looks stays in `localStorage`. What a person types stays in `sessionStorage`, gone with
 * the browser's tab, and an API key in it is blanked first: keys are for the server alone.
 */

import type { Storage } from "@graphiql/toolkit";

const LOOKS = /^graphiql:(theme|visiblePlugin|docExplorerFlex|editorFlex|secondaryEditorFlex)$/;

// `apiKey: "…"` in a document, and `"apiKey": "…"` in variables, also where those are JSON in JSON.
const API_KEY = /(apiKey(?:\\*")?(?:\s|\\+[nrt])*:(?:\s|\\+[nrt])*)(\\*")(.*?)\2/gi;

/** For GraphiQL's `storage`. */
export const pageStorage: Storage = {
  getItem: (name) => placeOf(name).getItem(name),
  setItem: (name, value) => placeOf(name).setItem(name, withoutApiKeys(value)),
  removeItem: (name) => placeOf(name).removeItem(name),
  get length() {
    return sessionStorage.length + localStorage.length;
  },
  clear() {
    sessionStorage.clear();
    localStorage.clear();
  },
};

/** Forget what was typed, when a person signs out. */
export function forgetTyped(): void {
  sessionStorage.clear();
}

export function withoutApiKeys(text: string): string {
  return text.replace(API_KEY, "$1$2$2");
}

function placeOf(name: string): globalThis.Storage {
  return LOOKS.test(name) ? localStorage : sessionStorage;
}
