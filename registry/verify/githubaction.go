package verify

import (
	"context"
	"fmt"

	"policy-server/registry/evidence"
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

func (c GithubAction) match(ctx context.Context, in evidence.Inspection, s *evidence.Candidate) (evidence.Signature, error) {
	signed, said, err := in.Prove(ctx, s)
	if err != nil {
		return evidence.Signature{}, err
	}
	owner, repo, err := signed.Identity.GitHubOwner()
	if err != nil {
		return evidence.Signature{}, err
	}
	if owner != c.Owner || c.Repo != "" && repo != c.Repo {
		return evidence.Signature{}, fmt.Errorf("%w: got %s", evidence.ErrWrongIdentity, signed.Identity)
	}
	return signed, said.Hold(c.Annotations)
}
