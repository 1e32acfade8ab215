package main

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"policy-server/sdk"
)

// rules are the settings, ready to be applied.
type rules struct {
	denied      []string
	mandatory   []string
	constrained []constraint // sorted by label
}

type constraint struct {
	label   string
	pattern *regexp.Regexp
}

// parseRules reads the settings and reports everything that is wrong with them in one error.
func parseRules(settings sdk.Value) (*rules, error) {
	parsed := &rules{}
	var faults []string
	complain := func(parts ...string) { faults = append(faults, strings.Join(parts, "")) }
	for field, value := range settings.Fields() {
		switch field {
		case "denied_labels":
			parsed.denied = parseLabels(field, value, complain)
		case "mandatory_labels":
			parsed.mandatory = parseLabels(field, value, complain)
		case "constrained_labels":
			parsed.constrained = parseConstraints(field, value, complain)
		default:
			complain(strconv.Quote(field), ": unknown field; known: denied_labels, mandatory_labels, constrained_labels")
		}
	}
	for _, label := range parsed.denied {
		if slices.Contains(parsed.mandatory, label) {
			complain("label ", strconv.Quote(label), ": both denied and mandatory")
		}
		if slices.ContainsFunc(parsed.constrained, func(c constraint) bool { return c.label == label }) {
			complain("label ", strconv.Quote(label), ": both denied and constrained")
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults) // the same text however the settings are ordered
		return nil, errors.New(strings.Join(faults, "; "))
	}
	return parsed, nil
}

func parseLabels(field string, value sdk.Value, complain func(...string)) (labels []string) {
	if kind := value.Kind(); kind != sdk.Array && kind != sdk.Null {
		complain(strconv.Quote(field), ": must be an array of strings, not ", kind.String())
	}
	for element := range value.Each() {
		label, ok := element.Text()
		if !ok {
			complain(strconv.Quote(field), ": must hold strings, not ", element.Kind().String())
			continue
		}
		labels = append(labels, label)
	}
	return labels
}

func parseConstraints(field string, value sdk.Value, complain func(...string)) (constraints []constraint) {
	if kind := value.Kind(); kind != sdk.Object && kind != sdk.Null {
		complain(strconv.Quote(field), ": must be an object of label and regular expression, not ", kind.String())
	}
	for label, element := range value.Fields() {
		text, ok := element.Text()
		if !ok {
			complain(strconv.Quote(field), ": ", strconv.Quote(label), ": must be a string, not ", element.Kind().String())
			continue
		}
		pattern, err := regexp.Compile(text)
		if err != nil {
			complain(strconv.Quote(field), ": ", strconv.Quote(label), ": ", err.Error())
			continue
		}
		constraints = append(constraints, constraint{label, pattern})
	}
	slices.SortFunc(constraints, func(a, b constraint) int { return strings.Compare(a.label, b.label) })
	return constraints
}

// faults returns what is wrong with an object's labels: the rules' order, and the settings' within
// a rule.
func (r *rules) faults(labels sdk.Value) (faults []string) {
	for _, label := range r.denied {
		if labels.Get(label).Exists() {
			faults = append(faults, "label "+strconv.Quote(label)+" is denied")
		}
	}
	for _, label := range r.mandatory {
		if !labels.Get(label).Exists() {
			faults = append(faults, "label "+strconv.Quote(label)+" is mandatory and missing")
		}
	}
	for _, c := range r.constrained {
		value, ok := labels.Get(c.label).Text()
		if ok && !c.pattern.MatchString(value) {
			faults = append(faults, "label "+strconv.Quote(c.label)+" is "+strconv.Quote(value)+
				", which does not match "+strconv.Quote(c.pattern.String()))
		}
	}
	return faults
}
