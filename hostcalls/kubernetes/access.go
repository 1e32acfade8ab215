package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
)

// review is a question about access, as the API takes it.
type review struct {
	User               string     `json:"user"`
	Groups             []string   `json:"groups,omitempty"`
	ResourceAttributes attributes `json:"resourceAttributes"`
}

type attributes struct {
	Group       *string `json:"group,omitempty"`
	Name        *string `json:"name,omitempty"`
	Namespace   *string `json:"namespace,omitempty"`
	Resource    string  `json:"resource"`
	Subresource *string `json:"subresource,omitempty"`
	Verb        string  `json:"verb"`
	Version     *string `json:"version,omitempty"`
}

// canI answers kubernetes/can_i with the status of a SubjectAccessReview.
func (c *Cluster) canI(ctx context.Context, r canIRequest) ([]byte, error) {
	if c == nil {
		return nil, ErrNoCluster
	}
	spec, err := json.Marshal(r.review)
	if err != nil {
		return nil, err
	}
	ask := func(ctx context.Context) ([]byte, error) { return c.reviewAccess(ctx, spec) }
	if r.disableCache {
		return ask(ctx)
	}
	return c.verdicts.Do(ctx, string(spec), ask)
}

func (c *Cluster) reviewAccess(ctx context.Context, spec json.RawMessage) ([]byte, error) {
	question, err := json.Marshal(struct {
		APIVersion string          `json:"apiVersion"`
		Kind       string          `json:"kind"`
		Spec       json.RawMessage `json:"spec"`
	}{"authorization.k8s.io/v1", "SubjectAccessReview", spec})
	if err != nil {
		return nil, err
	}
	text, err := body(c.client.Post().AbsPath("/apis/authorization.k8s.io/v1/subjectaccessreviews").
		SetHeader("Content-Type", "application/json").Body(question).Do(ctx))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || len(answer.Status) == 0 || string(answer.Status) == "null" {
		return nil, errors.New("SubjectAccessReview did not return a response")
	}
	return answer.Status, nil
}
