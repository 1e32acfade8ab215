package verify

import (
	"context"

	"policy-server/document"
	"policy-server/registry/evidence"
)

// evaluate holds what was found against cfg. The error says what is missing; it is nil when nothing
// is.
func (cfg Config) evaluate(ctx context.Context, in evidence.Inspection, found []evidence.Candidate) (Report, *UnverifiedError) {
	e := evaluation{ctx: ctx, Inspection: in, found: found}
	met, unmet := e.each("allOf", cfg.AllOf)
	if len(unmet) > 0 {
		return Report{}, &UnverifiedError{Found: len(found), Unmet: unmet}
	}
	if cfg.AnyOf == nil {
		return Report{Met: met}, nil
	}
	e.all = cfg.AnyOf.DistinctSigners
	anyMet, unmet := e.each("anyOf.signatures", cfg.AnyOf.Signatures)
	got := len(anyMet)
	if e.all {
		got = countSigners(anyMet)
	}
	if got < cfg.AnyOf.MinimumMatches {
		return Report{}, &UnverifiedError{
			Found: len(found), Unmet: unmet, Needed: cfg.AnyOf.MinimumMatches, Got: got, Signers: e.all,
		}
	}
	return Report{Met: append(met, anyMet...), Unmet: unmet}, nil
}

// evaluation is one Check's work on constraints.
type evaluation struct {
	evidence.Inspection
	ctx   context.Context
	found []evidence.Candidate
	all   bool // every signature that meets a constraint counts, not only the first
}

// each sorts constraints into those that a signature meets, with the signatures, and those that
// none does.
func (e evaluation) each(path string, constraints []Constraint) ([]Met, []Unmet) {
	var met []Met
	var unmet []Unmet
	for i, c := range constraints {
		signatures, rejections := e.one(c)
		if len(signatures) == 0 {
			unmet = append(unmet, Unmet{Path: document.Element(path, i), Constraint: c, Rejections: rejections})
			continue
		}
		met = append(met, Met{
			Path: document.Element(path, i), Constraint: c, Signature: signatures[0], others: signatures[1:],
		})
	}
	return met, unmet
}

// one returns the signatures that meet c, and why the others do not.
func (e evaluation) one(c Constraint) (met []evidence.Signature, rejections []Rejection) {
	for i := range e.found {
		s := &e.found[i]
		signature, err := evidence.Signature{}, s.Unusable()
		if err == nil {
			signature, err = c.match(e.ctx, e.Inspection, s)
		}
		if err != nil {
			rejections = append(rejections, Rejection{Place: s.Place(), Reason: err})
			continue
		}
		if met = append(met, signature); !e.all {
			break
		}
	}
	return met, rejections
}

// countSigners counts who made the signatures that met some constraint, each once.
func countSigners(met []Met) int {
	signers := map[string]bool{}
	for _, m := range met {
		signers[m.Signature.Signer()] = true
		for _, other := range m.others {
			signers[other.Signer()] = true
		}
	}
	return len(signers)
}
