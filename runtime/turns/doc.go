// Package turns decides which evaluation runs guest code next, so that no policy slows another
// beyond its fair share. It knows a clock and its callers, and nothing of WebAssembly or HTTP.
//
// A [Scheduler] has places, as many as processors: guest code runs only on a place. A [Flow] is one
// policy's stream of evaluations. An [Evaluation] first begins, which bounds how many there are and
// the memory they hold; then it takes a place, gives it up around everything it waits for, and at a
// [Evaluation.Tick] when another one should go first; in the end it ends.
//
// Flows are served by the guest time they have used: start-time fair queueing (Goyal, Vin, Cheng,
// SIGCOMM 1996). The clock of a flow runs by what its evaluations use, divided by its weight. A
// flow that comes back from idleness starts at the clock of the flow that is served next, so that
// idleness earns nothing. Within a flow the oldest evaluation goes first, but one that has used 1,
// 10 or 100 ms of guest time steps back behind those that have used less. Audits go when no webhook
// waits, and not before.
package turns
