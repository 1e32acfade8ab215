package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CheckAuthored reports what is wrong with metadata that is about to be written into a module:
// rules the API server would refuse, resources without name, a waPC module without protocol
// version. Modules are served without this check, since published ones may fail it.
func (m Metadata) CheckAuthored() error {
	var faults []error
	if m.ProtocolVersion == "" || m.ProtocolVersion == "Unknown" && m.ExecutionMode == ExecuteWaPC {
		faults = append(faults, errors.New("protocolVersion: Must specify a valid protocol version"))
	}
	for i, rule := range m.Rules {
		at := fmt.Sprintf("rules[%d].", i)
		for _, list := range []struct {
			name   string
			values []string
		}{{"apiGroups", rule.APIGroups}, {"apiVersions", rule.APIVersions}, {"operations", rule.Operations}} {
			if len(list.values) == 0 {
				faults = append(faults, fmt.Errorf("%s%s: must not be empty", at, list.name))
			} else if len(list.values) > 1 && slices.Contains(list.values, "*") {
				faults = append(faults, fmt.Errorf("%s%s: No other elements can be defined when '*' is used", at, list.name))
			}
		}
		if err := checkResources(rule.Resources); err != nil {
			faults = append(faults, fmt.Errorf("%sresources: %w", at, err))
		}
	}
	for i, resource := range m.ContextAwareResources {
		if resource.APIVersion == "" || resource.Kind == "" {
			faults = append(faults, fmt.Errorf("contextAwareResources[%d]: apiVersion and kind must not be empty", i))
		}
	}
	return errors.Join(faults...)
}

// checkResources applies the API server's rules for a webhook's resources: what one entry covers
// must not be listed again by a later one.
func checkResources(resources []string) error {
	if len(resources) == 0 {
		return errors.New("must not be empty")
	}
	plain := "" // the last resource without a subresource
	covered := map[string]bool{}
	for _, resource := range resources {
		name, sub, hasSub := strings.Cut(resource, "/")
		switch {
		case resource == "":
			return errors.New("empty resource is not allowed")
		case resource == "*/*" && len(resources) > 1:
			return errors.New("if '*/*' is present, must not specify other resources")
		case !hasSub:
			plain = resource
		case covered[name+"/*"] || covered["*/"+sub]:
			return fmt.Errorf("%q is covered by an earlier entry", resource)
		default:
			covered[resource] = true
		}
	}
	if slices.Contains(resources, "*") && plain != "*" {
		return errors.New("if '*' is present, must not specify other resources without subresources")
	}
	return nil
}
