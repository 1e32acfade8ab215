// Package server is the HTTP edge: it reads AdmissionReviews, asks an Evaluator for the verdict,
// and writes the answer. It owns routes, statuses, limits on bodies, readiness and the order of
// shutting down.
//
// It knows nothing of WebAssembly, registries or files. What a client sees of each error is decided
// in errors.go.
package server
