package verify

import (
	"context"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"policy-server/registry/evidence"
)

// Constraint is one entry of a Config: a PubKey, a GenericIssuer, a GithubAction or a Certificate. A signature meets it
// when identity and annotations fit together; one signature may meet several constraints.
type Constraint interface {
	fmt.Stringer // the entry as YAML, every field written, null where absent; reports of unmet constraints print it

	check(path string, found *faults) // reports what no signature could ever meet
	need() need                       // of a trust root

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
	read   func(object) Constraint
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
func readConstraint(path string, node *yaml.Node, found *faults) Constraint {
	before := len(*found)
	name, ok := readKind(path, node, found)
	if !ok {
		return nil
	}
	for _, k := range kinds() {
		if k.name != name {
			continue
		}
		known := append(append([]string{"kind"}, k.fields...), "annotations")
		if o, ok := readObject(path, node, found, known...); ok {
			if c := k.read(o); len(*found) == before {
				return c
			}
		}
		return nil
	}
	found.add(path+".kind", "unknown kind %q; want %s", name, kindNames())
	return nil
}

// readKind looks for the kind alone: the other fields are only known to be legal once it is known.
func readKind(path string, node *yaml.Node, found *faults) (string, bool) {
	o := object{path: path, found: found}
	if !o.isMapping(node) {
		return "", false
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if value := resolve(node.Content[i+1]); resolve(node.Content[i]).Value == "kind" && !isNull(value) {
			kind := o.scalar("kind", value)
			return kind, kind != ""
		}
	}
	found.add(o.at("kind"), "missing; want %s", kindNames())
	return "", false
}

// checkAnnotations refuses the two keys the payload format keeps for itself: as in Kubewarden, no signature carries
// them as annotations.
func checkAnnotations(path string, annotations map[string]string, found *faults) {
	for _, key := range []string{"creator", "timestamp"} {
		if _, ok := annotations[key]; ok {
			found.add(path+".annotations."+key, "reserved by the signature format; no signature could ever meet it")
		}
	}
}
