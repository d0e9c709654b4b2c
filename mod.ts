/**
 * Tunegrid trains transformer classifiers on WebGPU by every common method of fine-tuning and
 * compares what each costs and reaches.
 *
 * @module
 */
export {};
