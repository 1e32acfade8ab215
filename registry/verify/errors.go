package verify

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// UnverifiedError reports a digest whose signatures do not meet the config: it was found out, and the answer is no.
type UnverifiedError struct {
	Digest name.Digest // what was checked: never a tag
	Found  int         // signatures found, usable or not
	Unmet  []Unmet     // constraints that no signature met, in the config's order
	Needed int         // anyOf's minimum when that is what failed; 0 when allOf did
	Got    int         // constraints of anyOf that were met
}

// Unmet is a constraint that no signature met.
type Unmet struct {
	Path       string // in the file: "anyOf.signatures[1]"
	Constraint Constraint
	Rejections []Rejection // one for each signature found
}

// Rejection says why a signature did not count for a constraint.
type Rejection struct {
	Position int     // of its layer in the signature manifest, from 0
	Payload  v1.Hash // of the signed bytes
	Reason   error
}

// Error names the unmet constraints as Kubewarden does, then says for each signature found why it did not count:
//
//	Image verification failed: missing signatures
//	The following constraints were not satisfied:
//	kind: pubKey
//	…
//	allOf[0]: signature 0 (sha256:9f2c…): Annotation not satisfied: "env": want "prod", got "test"
func (e *UnverifiedError) Error() string {
	var text strings.Builder
	text.WriteString("Image verification failed: ")
	if e.Needed > 0 {
		fmt.Fprintf(&text, "minimum number of signatures not reached: needed %d, got %d\n", e.Needed, e.Got)
	} else {
		text.WriteString("missing signatures\n")
	}
	text.WriteString("The following constraints were not satisfied:\n")
	for _, unmet := range e.Unmet {
		text.WriteString(unmet.Constraint.String())
	}
	if e.Found == 0 {
		fmt.Fprintf(&text, "no signatures found for image: %s", e.Digest.Name())
		return text.String()
	}
	var lines []string
	for _, unmet := range e.Unmet {
		for _, r := range unmet.Rejections {
			reason := strings.ReplaceAll(r.Reason.Error(), "\n", "; ")
			lines = append(lines, fmt.Sprintf("%s: signature %d (%s): %s", unmet.Path, r.Position, r.Payload, reason))
		}
	}
	return text.String() + strings.Join(lines, "\n")
}

// Hint says what the operator can do.
func (e *UnverifiedError) Hint() string {
	if e.Found == 0 {
		return fmt.Sprintf("sign %s and push the signature beside it; cosign 3 writes signatures that are found here "+
			"only with --new-bundle-format=false --use-signing-config=false", e.Digest.Name())
	}
	return "sign the module with a listed key and the annotations asked for, or change the verification config; " +
		"the error says for each signature found why it did not count"
}

// LookupError reports that the signatures of a digest could not be read, so that nothing is known about them: the
// registry failed, refused, or answered what is no set of signatures. It wraps the reason.
type LookupError struct {
	Digest name.Digest
	Err    error
}

func (e *LookupError) Error() string {
	return fmt.Sprintf("signatures of %s cannot be read: %v", e.Digest.Name(), e.Err)
}

// Unwrap returns the reason, in which the errors of contexts and of the registry stay visible.
func (e *LookupError) Unwrap() error { return e.Err }

// Hint says what the operator can do.
func (e *LookupError) Hint() string {
	return fmt.Sprintf("check that %s answers and that its credentials may read the tags of %s",
		e.Digest.RegistryStr(), e.Digest.RepositoryStr())
}
