import { testCases } from "../op_cases.ts";
import { cases } from "./cases/masked_mean.ts";

testCases("maskedMean()", cases);
