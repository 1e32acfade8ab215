package verify

import (
	"context"
	"fmt"

	"policy-server/document"
	"policy-server/registry/evidence"
)

// GithubAction asks for a keyless signature made in a GitHub Actions workflow.
type GithubAction struct {
	Owner       string            // exact, case-sensitive
	Repo        string            // exact, case-sensitive; empty: any of the owner's
	Annotations map[string]string // as in PubKey
}

func readGithubAction(m document.Mapping) Constraint {
	return GithubAction{Owner: m.Required("owner").Text(), Repo: m.Optional("repo").Text(), Annotations: m.Optional("annotations").TextMap()}
}

func (c GithubAction) check(path string, found *document.Faults) {
	if c.Owner == "" {
		found.Add(path+".owner", "empty")
	}
	checkAnnotations(path, c.Annotations, found)
}

func (c GithubAction) need() need { return needRoot }

// String returns the constraint as YAML.
func (c GithubAction) String() string {
	return printEntry(kindGithubAction, printed{"owner", printText(c.Owner)}, printed{"repo", printOptional(c.Repo)},
		printAnnotations(c.Annotations))
}

func (c GithubAction) match(ctx context.Context, in evidence.Inspection, s *evidence.Candidate) (evidence.Signature, error) {
	signed, claims, err := in.Prove(ctx, s)
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
	return signed, claims.Hold(c.Annotations)
}
