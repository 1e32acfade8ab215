package policy

import "strings"

// ID names a served policy: the key of its entry in policies.yml and the last segment of its URLs.
// A member of a policy group is GROUP/MEMBER.
type ID string

// InvalidIDError reports a text that can name no policy.
type InvalidIDError struct{ Text string }

func (e *InvalidIDError) Error() string { return "Not a valid Policy ID: " + e.Text }

// ParseID checks that text can name a policy or a group member. The error is an *InvalidIDError.
func ParseID(text string) (ID, error) {
	if text == "" || strings.Count(text, "/") > 1 || strings.HasPrefix(text, "/") || strings.HasSuffix(text, "/") {
		return "", &InvalidIDError{text}
	}
	return ID(text), nil
}
