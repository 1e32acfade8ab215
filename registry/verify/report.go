package verify

import (
	"strings"

	"policy-server/registry/evidence"
	"policy-server/registry/internal/proof"
)

// Report says what a verified digest was accepted for.
type Report struct {
	Digest proof.Digest // signed
	Met    []Met        // allOf first, each half in the config's order; of anyOf those that were met
	Unmet  []Unmet      // of anyOf, those that were not needed

	// Unreachable is why the registry could not be asked, so that signatures kept in the store
	// counted; nil when it could. They are as good as they were, but the registry may have removed
	// them since.
	Unreachable error
}

// Met is a constraint with the first signature that met it.
type Met struct {
	Path       string // in the file: "allOf[0]"
	Constraint Constraint
	Signature  evidence.Signature

	others []evidence.Signature // that met it too, where signers are counted
}

// Unmet is a constraint that no signature met.
type Unmet struct {
	Path       string // in the file: "anyOf.signatures[1]"
	Constraint Constraint
	Rejections []Rejection // one for each signature found
}

// Rejection says why a signature did not count for a constraint.
type Rejection struct {
	evidence.Place
	Reason error // one of the Err values of evidence with details, unless the signature is damaged
}

// maxReason is how much of a reason is said, in bytes. Parts of it are in the words of those who
// made the signature, who may have used a megabyte of them, and it is said for each signature and
// constraint.
const maxReason = 1000

// String says in one line why the signature did not count.
func (r Rejection) String() string {
	reason := strings.ReplaceAll(r.Reason.Error(), "\n", "; ")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return r.Place.String() + ": " + reason
}
