// Package policy holds a policy's whole life, from its definition in policies.yml to a served and
// retired generation (lifecycle.go), and the evaluation of one request by it (evaluate.go).
//
// It knows what a policy is: a named definition over a module, with settings, a mode and grants. It
// knows neither HTTP nor flags, and reaches signatures only through Verifier.
package policy
