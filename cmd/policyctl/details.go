package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/term"

	"policy-server/policy"
)

const annotationPrefix = "io.kubewarden.policy."

// detail is one line of the text that inspect prints: a heading, when it has no value.
type detail struct{ key, value string }

// printDetails prints metadata for people.
func printDetails(w io.Writer, metadata policy.Metadata) error {
	rows, err := details(metadata)
	if err != nil {
		return err
	}
	var out strings.Builder
	writeRows(&out, rows)
	if err := writeList(&out, "\nRules\n", metadata.Rules); err != nil {
		return err
	}
	if len(metadata.ContextAwareResources) > 0 {
		const heading = "\nContext Aware\nThe policy requires access to the following Kubernetes resources at evaluation time:\n"
		if err := writeList(&out, heading, metadata.ContextAwareResources); err != nil {
			return err
		}
		out.WriteString("To avoid abuses, review carefully what the policy requires access to.\n")
	}
	if usage, ok := metadata.Annotations[usageAnnotation]; ok {
		ruler := strings.Repeat("―", rulerWidth(w))
		fmt.Fprintf(&out, "\nUsage\n%s\n%s\n%s\n", ruler, strings.TrimRight(bulleted(usage), "\n"), ruler)
	}
	_, err = io.WriteString(w, printable(out.String()))
	return err
}

// writeRows writes rows in two columns.
func writeRows(out *strings.Builder, rows []detail) {
	width := 0
	for _, d := range rows {
		width = max(width, len(d.key))
	}
	for _, d := range rows {
		value := strings.ReplaceAll(strings.TrimSpace(d.value), "\n", "\n"+strings.Repeat(" ", width+1))
		out.WriteString(strings.TrimRight(fmt.Sprintf("%-*s %s", width, d.key, value), " ") + "\n")
	}
}

// details lists what goes into the two columns at the top.
func details(metadata policy.Metadata) ([]detail, error) {
	rows := []detail{{"Details", ""}}
	for _, name := range []string{"title", "description", "author", "url", "source", "license"} {
		if text, ok := metadata.Annotations[annotationPrefix+name]; ok {
			rows = append(rows, detail{name + ":", text})
		}
	}
	rows = append(rows,
		detail{"mutating:", strconv.FormatBool(metadata.Mutating)},
		detail{"background audit support:", strconv.FormatBool(metadata.BackgroundAudit)},
		detail{"context aware:", strconv.FormatBool(len(metadata.ContextAwareResources) > 0)},
		detail{"policy type:", metadata.PolicyType},
		detail{"execution mode:", string(metadata.ExecutionMode)})
	if metadata.ExecutionMode == policy.ExecuteWaPC {
		if metadata.ProtocolVersion == "" {
			return nil, saidf("Invalid policy: protocol_version not defined")
		}
		rows = append(rows, detail{"protocol version:", strings.TrimPrefix(metadata.ProtocolVersion, "v")})
	}
	if metadata.MinimumKubewardenVersion != "" {
		rows = append(rows, detail{"minimum kubewarden version:", metadata.MinimumKubewardenVersion})
	}
	return append(rows, otherAnnotations(metadata.Annotations)...), nil
}

// otherAnnotations lists the annotations that are not among the details, under their heading.
func otherAnnotations(annotations map[string]string) []detail {
	var rows []detail
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ours := strings.CutPrefix(key, annotationPrefix)
		if ours && slices.Contains([]string{"title", "description", "author", "url", "source", "license", "usage"}, name) {
			continue
		}
		rows = append(rows, detail{key, annotations[key]})
	}
	if len(rows) == 0 {
		return nil
	}
	return append([]detail{{}, {"Annotations", ""}}, rows...)
}

// writeList writes list as YAML below heading.
func writeList(out *strings.Builder, heading string, list any) error {
	out.WriteString(heading)
	return printYAML(out, list)
}

// bulleted makes the bullets of Markdown lists visible as such. The rest of Markdown reads well as
// it is.
func bulleted(markdown string) string {
	lines := strings.Split(markdown, "\n")
	code := false
	for i, line := range lines {
		text := strings.TrimLeft(line, " ")
		if strings.HasPrefix(text, "```") {
			code = !code
		}
		if !code && (strings.HasPrefix(text, "- ") || strings.HasPrefix(text, "* ")) {
			lines[i] = line[:len(line)-len(text)] + "•" + text[1:]
		}
	}
	return strings.Join(lines, "\n")
}

// rulerWidth is the width of the terminal, within what is still read as a ruler.
func rulerWidth(w io.Writer) int {
	const without, most = 80, 120
	file, ok := w.(*os.File)
	if !ok {
		return without
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return without
	}
	return min(width, most)
}
