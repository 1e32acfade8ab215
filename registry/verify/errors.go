package verify

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// UnverifiedError reports a digest whose signatures do not meet the config: it was found out, and
// the answer is no.
type UnverifiedError struct {
	Digest  name.Digest // what was checked: never a tag
	Found   int         // signatures found, usable or not
	Unmet   []Unmet     // constraints that no signature met, in the config's order
	Needed  int         // anyOf's minimum when that is what failed; 0 when allOf did
	Got     int         // constraints of anyOf that were met
	Signers bool        // Needed and Got count distinct signers
	Odd     string      // what the registry answered in place of a list of referrers; "" usually
}

// RefusesDigest marks the error as certain: the digest was looked at, and must not run
// (policy.Refusal).
func (e *UnverifiedError) RefusesDigest() {}

// failedPrefix begins what scripts written for Kubewarden look for.
const failedPrefix = "Image verification failed: "

// Error names the unmet constraints as Kubewarden does, then says for each signature found why it
// did not count:
//
//	Image verification failed: missing signatures
//	The following constraints were not satisfied:
//	kind: pubKey
//	…
//	allOf[0]: signature 0 (sha256:9f2c…): Annotation not satisfied: "env": want "prod", got "test"
func (e *UnverifiedError) Error() string { return failedPrefix + e.describe("signatures") }

// describe is Error without its prefix, about signatures or attestations.
func (e *UnverifiedError) describe(what string) string {
	var text strings.Builder
	switch {
	case e.Signers:
		fmt.Fprintf(&text, "minimum number of signatures not reached: needed %d by distinct signers, got %d\n",
			e.Needed, e.Got)
	case e.Needed > 0:
		fmt.Fprintf(&text, "minimum number of signatures not reached: needed %d, got %d\n", e.Needed, e.Got)
	default:
		text.WriteString("missing signatures\n")
	}
	if len(e.Unmet) > 0 {
		text.WriteString("The following constraints were not satisfied:\n")
	}
	for _, unmet := range e.Unmet {
		text.WriteString(unmet.Constraint.String())
	}
	if e.Found == 0 {
		fmt.Fprintf(&text, "no %s found for image: %s", what, e.Digest.Name())
		if e.Odd != "" {
			fmt.Fprintf(&text, "; for its list of referrers the registry answered %s, which is no image index", e.Odd)
		}
		return text.String()
	}
	var lines []string
	for _, unmet := range e.Unmet {
		for _, r := range unmet.Rejections {
			lines = append(lines, unmet.Path+": "+r.String())
		}
	}
	return text.String() + strings.Join(lines, "\n")
}

// Hint says what the operator can do.
func (e *UnverifiedError) Hint() string {
	if e.Found == 0 {
		return fmt.Sprintf("sign %s, so that the signature lies beside it in the registry, in either of the layouts that "+
			"cosign writes", e.Digest.Name())
	}
	return "sign the module with a listed key or identity and the annotations asked for, or change the verification " +
		"config; the error says for each signature found why it did not count"
}

// LookupError reports that signatures of a digest could not be read, so that it is not known
// whether the config is met: the registry failed, refused, or answered what is no set of
// signatures. It wraps the reason.
type LookupError struct {
	Digest name.Digest
	Err    error
	Kept   error            // why the store cannot answer instead; nil when it was not asked, or Rest says so
	Rest   *UnverifiedError // why those that could be read, or were kept, do not suffice; nil when there are none
}

func (e *LookupError) Error() string {
	text := fmt.Sprintf("signatures of %s cannot be read: %v", e.Digest.Name(), e.Err)
	if e.Kept != nil {
		text += fmt.Sprintf("\nand the store cannot answer instead: %v", e.Kept)
	}
	if e.Rest != nil {
		text += "\nand those at hand do not suffice: " + e.Rest.Error()
	}
	return text
}

// Unwrap returns the reason, in which the errors of contexts and of the registry stay visible. Rest
// is not part of it: what it says is not the last word.
func (e *LookupError) Unwrap() error { return e.Err }

// Hint says what the operator can do.
func (e *LookupError) Hint() string {
	return fmt.Sprintf("check that %s answers and that its credentials may read the tags and referrers of %s",
		e.Digest.RegistryStr(), e.Digest.RepositoryStr())
}
