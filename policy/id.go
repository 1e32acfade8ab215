package policy

import (
	"fmt"
	"strings"
)

// ID names a served policy: the key of its entry in policies.yml and the last segment of its URLs.
// A member of a policy group is GROUP/MEMBER.
type ID string

// ParseID checks that text can name a policy or a group member.
func ParseID(text string) (ID, error) {
	if text == "" || strings.Count(text, "/") > 1 || strings.HasPrefix(text, "/") || strings.HasSuffix(text, "/") {
		return "", fmt.Errorf("Not a valid Policy ID: %s", text)
	}
	return ID(text), nil
}
