package sdk

// A payload is the JSON object of a host call while it is written. The zero payload is an empty
// object.
type payload struct{ text []byte }

func (p *payload) name(name string) {
	if p.text == nil {
		p.text = append(p.text, '{')
	} else {
		p.text = append(p.text, ',')
	}
	p.text = append(appendQuoted(p.text, name), ':')
}

// add writes a member whose value is JSON already.
func (p *payload) add(name, value string) {
	p.name(name)
	p.text = append(p.text, value...)
}

// addText writes a member that is a string.
func (p *payload) addText(name, text string) {
	p.name(name)
	p.text = appendQuoted(p.text, text)
}

// addOptional writes a member that is a string, unless it is empty: then it is left out, which
// hosts take as null.
func (p *payload) addOptional(name, text string) {
	if text != "" {
		p.addText(name, text)
	}
}

// addTexts writes a member that is an array of strings, unless that is empty: then it is left out.
func (p *payload) addTexts(name string, texts []string) {
	if len(texts) == 0 {
		return
	}
	p.name(name)
	p.text = append(p.text, '[')
	for i, text := range texts {
		if i > 0 {
			p.text = append(p.text, ',')
		}
		p.text = appendQuoted(p.text, text)
	}
	p.text = append(p.text, ']')
}

func (p *payload) value() Value {
	if p.text == nil {
		return Value{"{}"}
	}
	return Value{string(p.text) + "}"}
}
