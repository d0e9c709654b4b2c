import { testCases } from "../op_cases.ts";
import { cases } from "./cases/elementwise.ts";

testCases("every elementwise operation", cases);
