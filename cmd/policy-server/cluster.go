package main

import (
	"fmt"
	"slices"

	"go.uber.org/zap"

	"policy-server/cmd/internal/build"
	"policy-server/hostcalls"
	"policy-server/hostcalls/kubernetes"
	"policy-server/policy"
)

// noClusterError reports that policies could ask about a cluster and that none is configured.
type noClusterError struct{ err error }

func (e *noClusterError) Error() string {
	return fmt.Sprintf("Cannot connect to Kubernetes, context aware policies would not work properly: %v", e.err)
}

func (e *noClusterError) Unwrap() error { return e.err }

// Hint names the ways out.
func (e *noClusterError) Hint() string {
	return "run in a pod, let KUBECONFIG name a cluster, or start without one with --ignore-kubernetes-connection-failure"
}

// connect finds the cluster that policies may ask about. The API server is not contacted yet.
// Having none is nil, and an error only if some policy is allowed to ask and the operator did not
// say that it may go without.
func connect(o options, definitions []policy.Definition, log *zap.Logger) (*kubernetes.Cluster, error) {
	cluster, err := kubernetes.Open(kubernetes.Config{UserAgent: "policy-server/" + build.Version, Log: log})
	switch {
	case err == nil:
		return cluster, nil
	case o.ignoreCluster:
		log.Warn("Cannot connect to Kubernetes, context aware policies will not work properly", zap.Error(err))
		return nil, nil
	case slices.ContainsFunc(definitions, mayAskCluster):
		return nil, &noClusterError{err}
	}
	log.Debug("no Kubernetes cluster is configured, and no policy may ask about one", zap.Error(err))
	return nil, nil
}

// mayAskCluster reports whether a policy may read kinds of objects, or ask who may do what, which
// needs no kind.
func mayAskCluster(d policy.Definition) bool {
	return len(d.Resources) > 0 || d.Grants.Allow(hostcalls.KubernetesCanI)
}
