package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// columns is how wide comments and Markdown may be, a tab being four.
const columns = 100

func tooWide(line string) bool {
	return utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")) > columns
}

// TestWidth holds that comments and Markdown can be read without scrolling. Examples in comments,
// tables, code in Markdown and what cannot be broken are left alone.
func TestWidth(t *testing.T) {
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if name == "build" || name == "testdata" || strings.HasPrefix(name, ".") && name != ".." {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(name) {
		case ".go":
			for _, position := range wideComments(t, path) {
				t.Errorf("%s: a comment is wider than %d columns", position, columns)
			}
		case ".md":
			checkMarkdown(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wideComments returns where comments that have a line of their own are too wide.
func wideComments(t *testing.T, path string) (wide []token.Position) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	for _, group := range file.Comments {
		for _, comment := range group.List {
			position := files.Position(comment.Pos())
			line := lines[position.Line-1]
			prose := strings.HasPrefix(comment.Text, "// ") && strings.HasPrefix(strings.TrimSpace(line), "// ")
			if prose && tooWide(line) && len(strings.Fields(comment.Text)) > 2 {
				wide = append(wide, position)
			}
		}
	}
	return wide
}

func checkMarkdown(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	code := false
	for i, line := range strings.Split(string(content), "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "```") {
			code = !code
		}
		if code || strings.HasPrefix(line, "    ") || strings.HasPrefix(trimmed, "|") || len(strings.Fields(line)) < 3 {
			continue
		}
		if tooWide(line) {
			t.Errorf("%s:%d: wider than %d columns", path, i+1, columns)
		}
	}
}
