import { testCases } from "../op_cases.ts";
import { cases } from "./cases/select_token.ts";

testCases("selectToken()", cases);
