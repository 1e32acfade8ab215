package verify

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Constraint is one entry of a Config: a PubKey, a GenericIssuer or a GithubAction. A signature meets it when identity
// and annotations fit together; one signature may meet several constraints.
type Constraint interface {
	fmt.Stringer // the entry as YAML, every field written, null where absent; reports of unmet constraints print it

	kind() string                     // as written in the file
	check(path string, found *faults) // reports what no signature could ever meet
}

// The kinds of constraints, as written in the file.
const (
	kindPubKey        = "pubKey"
	kindGenericIssuer = "genericIssuer"
	kindGithubAction  = "githubAction"
)

// PubKey asks for a signature made with a key. Neither a transparency log, nor a certificate, nor a time is asked for.
type PubKey struct {
	Owner       string // documentation only, never checked
	Key         PublicKey
	Annotations map[string]string // the signed payload must hold each of them; more are fine
}

// GenericIssuer asks for a keyless signature by an identity of any OIDC issuer.
type GenericIssuer struct {
	Issuer      string // exact
	Subject     Subject
	Annotations map[string]string // as in PubKey
}

// GithubAction asks for a keyless signature made in a GitHub Actions workflow.
type GithubAction struct {
	Owner       string            // exact, case-sensitive
	Repo        string            // exact, case-sensitive; empty: any of the owner's
	Annotations map[string]string // as in PubKey
}

// readConstraint reads one entry; nil when it has faults, which are then in found.
func readConstraint(path string, node *yaml.Node, found *faults) Constraint {
	before := len(*found)
	kind, ok := readKind(path, node, found)
	if !ok {
		return nil
	}
	var fields []string
	var read func(object) Constraint
	switch kind {
	case kindPubKey:
		fields, read = []string{"kind", "owner", "key", "annotations"}, readPubKey
	case kindGenericIssuer:
		fields, read = []string{"kind", "issuer", "subject", "annotations"}, readGenericIssuer
	case kindGithubAction:
		fields, read = []string{"kind", "owner", "repo", "annotations"}, readGithubAction
	default:
		found.add(path+".kind", "unknown kind %q; want %s, %s or %s",
			kind, kindPubKey, kindGenericIssuer, kindGithubAction)
		return nil
	}
	if o, ok := readObject(path, node, found, fields...); ok {
		if c := read(o); len(*found) == before {
			return c
		}
	}
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
	found.add(o.at("kind"), "missing; want %s, %s or %s", kindPubKey, kindGenericIssuer, kindGithubAction)
	return "", false
}

func readPubKey(o object) Constraint {
	c := PubKey{Owner: o.optionalText("owner"), Annotations: o.textMap("annotations")}
	if text := o.text("key"); text != "" {
		key, err := ParsePublicKey([]byte(text))
		if err != nil {
			o.found.add(o.at("key"), "%v", err)
		}
		c.Key = key
	}
	return c
}

func readGenericIssuer(o object) Constraint {
	return GenericIssuer{Issuer: o.text("issuer"), Subject: readSubject(o), Annotations: o.textMap("annotations")}
}

func readGithubAction(o object) Constraint {
	return GithubAction{Owner: o.text("owner"), Repo: o.optionalText("repo"), Annotations: o.textMap("annotations")}
}

func (c PubKey) kind() string        { return kindPubKey }
func (c GenericIssuer) kind() string { return kindGenericIssuer }
func (c GithubAction) kind() string  { return kindGithubAction }

func (c PubKey) check(path string, found *faults) {
	if c.Key.isZero() {
		found.add(path+".key", "empty")
	}
	checkAnnotations(path, c.Annotations, found)
}

func (c GenericIssuer) check(path string, found *faults) {
	if c.Issuer == "" {
		found.add(path+".issuer", "empty")
	}
	if c.Subject.value == "" {
		found.add(path+".subject", "empty")
	}
	checkAnnotations(path, c.Annotations, found)
}

func (c GithubAction) check(path string, found *faults) {
	if c.Owner == "" {
		found.add(path+".owner", "empty")
	}
	checkAnnotations(path, c.Annotations, found)
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

// String returns the constraint as YAML.
func (c PubKey) String() string {
	return printYAML(mapping(
		scalarNode("kind"), scalarNode(kindPubKey),
		scalarNode("owner"), optionalNode(c.Owner),
		scalarNode("key"), scalarNode(c.Key.pem),
		scalarNode("annotations"), annotationsNode(c.Annotations),
	))
}

// String returns the constraint as YAML, its subject tagged: "subject: !equal alice@example.com".
func (c GenericIssuer) String() string {
	return printYAML(mapping(
		scalarNode("kind"), scalarNode(kindGenericIssuer),
		scalarNode("issuer"), scalarNode(c.Issuer),
		scalarNode("subject"), c.Subject.node(),
		scalarNode("annotations"), annotationsNode(c.Annotations),
	))
}

// String returns the constraint as YAML.
func (c GithubAction) String() string {
	return printYAML(mapping(
		scalarNode("kind"), scalarNode(kindGithubAction),
		scalarNode("owner"), scalarNode(c.Owner),
		scalarNode("repo"), optionalNode(c.Repo),
		scalarNode("annotations"), annotationsNode(c.Annotations),
	))
}
