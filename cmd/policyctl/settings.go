package main

import (
	"os"

	"policy-server/admission"
	"policy-server/policy"
)

// settings reads the policy's settings, a JSON object.
func (t *trial) settings() ([]byte, error) {
	switch {
	case t.settingsPath.Given:
		data, err := os.ReadFile(t.settingsPath.Text)
		if err != nil {
			return nil, saidf("Cannot open settings file %s: %w", t.settingsPath.Text, system(err))
		}
		settings, err := parseSettings(data)
		if err != nil {
			return nil, saidf("Cannot parse settings file %s: %w", t.settingsPath.Text, err)
		}
		return settings, nil
	case t.settingsJSON.Given:
		settings, err := parseJSONSettings([]byte(t.settingsJSON.Text))
		if err != nil {
			return nil, saidf("Cannot parse settings JSON: %w", err)
		}
		return settings, nil
	}
	return []byte("{}"), nil
}

// parseSettings reads YAML or JSON. What is JSON is read as such: not all of it is YAML.
func parseSettings(data []byte) ([]byte, error) {
	if _, err := admission.ParseRaw(data); err == nil {
		return parseJSONSettings(data)
	}
	return policy.ParseSettings(data)
}

func parseJSONSettings(data []byte) ([]byte, error) {
	document, err := admission.ParseRaw(data)
	if err != nil {
		return nil, err
	}
	switch value := document.Baseline(); {
	case value[0] == '{':
		return value, nil
	case string(value) == "null":
		return []byte("{}"), nil
	}
	return nil, saidf("Invalid settings in CRD, not an object")
}
