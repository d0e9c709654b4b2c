import { testCases } from "../op_cases.ts";
import { cases } from "./cases/sum.ts";

testCases("sum()", cases);
