export { Engine, EngineError, type EngineOptions, type Program, type Values } from './engine.js'
export { BACKENDS, type Backend } from './runtime.js'
