// Package admission holds the documents that API server, host and guest exchange: the
// AdmissionReview in and out, the payload a guest receives, the answers it gives, and the JSON
// patch between an object and its mutation.
//
// It is pure: bytes in, values and bytes out. It knows no policy, no WebAssembly and no HTTP.
// Documents are scanned once and kept as slices of the bytes they came in; large objects are never
// decoded into Go values unless a mutation has to be compared.
package admission
