import { testCases } from "../op_cases.ts";
import { cases } from "./cases/einsum.ts";

testCases("einsum()", cases);
