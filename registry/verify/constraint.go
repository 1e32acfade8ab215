package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"policy-server/document"
	"policy-server/registry/evidence"
)

// Constraint is one entry of a Config: a PubKey, a GenericIssuer, a GithubAction or a Certificate.
// A signature meets it when identity and annotations fit together; one signature may meet several
// constraints.
type Constraint interface {
	fmt.Stringer // the entry as YAML, every field written, null where absent; reports of unmet constraints print it

	check(path string, found *document.Faults) // reports what no signature could ever meet
	need() need                                // of a trust root

	// match holds an intact signature against the constraint.
	match(ctx context.Context, in evidence.Inspection, s *evidence.Candidate) (evidence.Signature, error)
}

// The kinds of constraints, as written in the file.
const (
	kindPubKey        = "pubKey"
	kindGenericIssuer = "genericIssuer"
	kindGithubAction  = "githubAction"
	kindCertificate   = "certificate"
)

// kind says how an entry of the file is read.
type kind struct {
	name   string
	fields []string
	read   func(document.Mapping) Constraint
}

func kinds() []kind {
	return []kind{
		{kindPubKey, []string{"owner", "key"}, readPubKey},
		{kindGenericIssuer, []string{"issuer", "issuerRegex", "subject"}, readGenericIssuer},
		{kindGithubAction, []string{"owner", "repo"}, readGithubAction},
		{kindCertificate, []string{"certificate", "certificateChain", "requireRekorBundle"}, readCertificate},
	}
}

// kindNames lists the legal kinds for messages.
func kindNames() string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// readConstraint reads one entry; nil when it has faults, which are then in found.
func readConstraint(v document.Value, found *document.Faults) Constraint {
	before := found.Len()
	m, ok := v.Mapping()
	if !ok {
		return nil
	}
	name := m.Optional("kind")
	if !name.Exists() {
		name.Fault("missing; want %s", kindNames())
		return nil
	}
	text := name.Text()
	if name.Kind() != document.Text { // and so it is not known which keys are legal
		return nil
	}
	for _, k := range kinds() {
		if k.name != text {
			continue
		}
		m.Only(slices.Concat([]string{"kind"}, k.fields, []string{"annotations"})...)
		if c := k.read(m); found.Len() == before {
			return c
		}
		return nil
	}
	name.Fault("unknown kind %q; want %s", text, kindNames())
	return nil
}

// checkAnnotations refuses the two keys the payload format keeps for itself: as in Kubewarden, no
// signature carries them as annotations.
func checkAnnotations(path string, annotations map[string]string, found *document.Faults) {
	for _, key := range []string{"creator", "timestamp"} {
		if _, ok := annotations[key]; ok {
			found.Add(path+".annotations."+key, "reserved by the signature format; no signature could ever meet it")
		}
	}
}
