package main

import (
	"slices"

	"policy-server/sdk"
)

// wanted are the settings, ready to be applied.
type wanted struct {
	pin   bool // write the verified digest into the object
	rules []rule
}

// A rule says what must have been attested about some images, and by whom.
type rule struct {
	image   string // pattern
	signers sdk.SignerDemand
	claims  []claim
}

// A claim is one kind of attestation that a rule asks for.
type claim struct {
	predicateType string
	judge         func(predicates []sdk.Value) (faults []string) // of all attestations of the type by trusted signers
}

// demands is what the host must find out about an image.
func (r *rule) demands(image string) sdk.ImageDemands {
	d := sdk.ImageDemands{Image: image}
	for _, c := range r.claims {
		d.Attestations = append(d.Attestations, sdk.AttestationDemand{PredicateType: c.predicateType, By: r.signers})
	}
	return d
}

// judge says what is wrong with what was attested.
func (r *rule) judge(attestations []sdk.Attestation) (faults []string) {
	predicates := make([][]sdk.Value, len(r.claims))
	for _, a := range attestations {
		if a.Demand >= 0 && a.Demand < len(predicates) {
			predicates[a.Demand] = append(predicates[a.Demand], a.Predicate)
		}
	}
	for i, c := range r.claims {
		if len(predicates[i]) == 0 { // which a host must not call trusted
			faults = append(faults, "nothing of type "+c.predicateType+" is attested")
			continue
		}
		faults = append(faults, c.judge(predicates[i])...)
	}
	return slices.Compact(faults)
}
