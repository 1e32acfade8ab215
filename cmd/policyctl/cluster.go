package main

import (
	"go.uber.org/zap"

	"policy-server/cmd/internal/build"
	"policy-server/hostcalls/kubernetes"
	"policy-server/policy"
)

// connect returns the cluster that a policy may read, nil when it may read none or a session
// answers in the cluster's place.
func (s session) connect(definition policy.Definition, log *zap.Logger) (*kubernetes.Cluster, error) {
	if len(definition.Resources) == 0 || s.replayer != nil {
		return nil, nil
	}
	cluster, err := kubernetes.Open(kubernetes.Config{UserAgent: "policyctl/" + build.Version, Log: log})
	if err != nil {
		return nil, saidf("Cannot connect to Kubernetes cluster: %w", err)
	}
	return cluster, nil
}
