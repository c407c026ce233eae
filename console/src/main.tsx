import "graphiql/setup-workers/vite";
import "graphiql/style.css";
import "./console.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { Console } from "./Console";

const root = document.getElementById("console");
if (!root) throw new Error("index.html has no element to draw into");
createRoot(root).render(
  <StrictMode>
    <Console />
  </StrictMode>,
);
