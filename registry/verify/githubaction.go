package verify

import (
	"context"
	"fmt"
)

// GithubAction asks for a keyless signature made in a GitHub Actions workflow.
type GithubAction struct {
	Owner       string            // exact, case-sensitive
	Repo        string            // exact, case-sensitive; empty: any of the owner's
	Annotations map[string]string // as in PubKey
}

func readGithubAction(o object) Constraint {
	return GithubAction{Owner: o.text("owner"), Repo: o.optionalText("repo"), Annotations: o.textMap("annotations")}
}

func (c GithubAction) check(path string, found *faults) {
	if c.Owner == "" {
		found.add(path+".owner", "empty")
	}
	checkAnnotations(path, c.Annotations, found)
}

func (c GithubAction) need() need { return needRoot }

// String returns the constraint as YAML.
func (c GithubAction) String() string {
	return printYAML(mapping(
		scalarNode("kind"), scalarNode(kindGithubAction),
		scalarNode("owner"), scalarNode(c.Owner),
		scalarNode("repo"), optionalNode(c.Repo),
		scalarNode("annotations"), annotationsNode(c.Annotations),
	))
}

func (c GithubAction) match(ctx context.Context, in inspection, s *candidate) (Signature, error) {
	signed, said, err := in.prove(ctx, s)
	if err != nil {
		return Signature{}, err
	}
	owner, repo, err := signed.Identity.githubRepository()
	if err != nil {
		return Signature{}, err
	}
	if owner != c.Owner || c.Repo != "" && repo != c.Repo {
		return Signature{}, fmt.Errorf("%w: got %s", ErrWrongIdentity, signed.Identity)
	}
	return signed, said.hold(c.Annotations)
}
