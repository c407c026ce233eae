import { createContext, useContext } from "react";

import type { Api } from "./api";

/** GraphiQL draws its panels itself and passes them nothing: they find the connection here. */
export const ApiContext = createContext<Api | null>(null);

export function useApi(): Api {
  const api = useContext(ApiContext);
  if (!api) throw new Error("this panel is drawn outside of the explorer");
  return api;
}
