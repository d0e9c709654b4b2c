import { testCases } from "../op_cases.ts";
import { cases } from "./cases/concat.ts";

testCases("concat(), slice(), pad() and reshape()", cases);
