package app

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// configFlag names a file with values for the other flags.
const configFlag = "config"

// readConfig gives the flags the values that a YAML file has for them. Those that are given on the command line keep theirs.
func (p *program) readConfig(file string, given map[string]bool) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("-config: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Load(text, &doc); err != nil {
		return fmt.Errorf("-config: %s: %s", file, yamlError.Replace(err.Error()))
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("-config: %s: line %d: this is no map: use lines such as max-bytes: 256MiB", file, root.Line)
	}
	seen := make(map[string]int) // the lines of keys
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if err := p.setKey(key, value, seen, given); err != nil {
			return fmt.Errorf("-config: %s: line %d: %s: %w", file, key.Line, key.Value, err)
		}
	}
	return nil
}

// yamlError makes one short line of what the parser says.
var yamlError = strings.NewReplacer("yaml: construct errors: <unknown position>: ", "", "go-yaml load error in ", "", "yaml: ", "", "\n", "; ")

func (p *program) setKey(key, value *yaml.Node, seen map[string]int, given map[string]bool) error {
	name := key.Value
	f := p.Lookup(name)
	switch {
	case f == nil || name == configFlag || key.Kind != yaml.ScalarNode:
		return errors.New("there is no such key: use the names of the flags, without a dash; -h lists them")
	case seen[name] > 0:
		return fmt.Errorf("the key is there twice, first in line %d: leave one of them out", seen[name])
	case demoFlags[name] && !serviceToo[name]:
		return errors.New("this is for -demo, which takes no file: leave it out")
	}
	seen[name] = key.Line
	values, err := valuesOf(value, f.Value)
	if err != nil {
		return err
	}
	if given[name] {
		return nil
	}
	for _, v := range values {
		if err := p.Set(name, v); err != nil {
			return fmt.Errorf("invalid value %q: %s", v, hint(f.Value, err))
		}
	}
	return nil
}

// hint says how to mend a value: the standard library says only that it does not parse.
func hint(v flag.Value, err error) string {
	if g, ok := v.(flag.Getter); ok {
		switch g.Get().(type) {
		case bool:
			return "use true or false"
		case time.Duration:
			return "use a number and a unit, such as 500ms, 10s or 1m"
		}
	}
	return err.Error()
}

// valuesOf returns what a flag is to be set to: once, or as often as it is repeated.
func valuesOf(n *yaml.Node, v flag.Value) ([]string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch repeated := isRepeated(v); {
	case n.Kind == yaml.ScalarNode:
		s, err := scalar(n)
		return []string{s}, err
	case n.Kind == yaml.SequenceNode && (repeated || isList(v)):
		var values []string
		for _, item := range n.Content {
			s, err := scalar(item)
			if err != nil {
				return nil, err
			}
			values = append(values, s)
		}
		if isList(v) {
			values = []string{strings.Join(values, ",")}
		}
		return values, nil
	case n.Kind == yaml.MappingNode && repeated:
		return pairsOf(n)
	case isList(v):
		return nil, errors.New("use a list, or one value")
	case repeated:
		return nil, errors.New("use a map, a list, or one value")
	}
	return nil, errors.New("use one value")
}

// pairsOf returns a map as the flag has it, key=value.
func pairsOf(n *yaml.Node) (values []string, err error) {
	seen := make(map[string]int)
	for i := 0; i < len(n.Content); i += 2 {
		key, err := scalar(n.Content[i])
		if err != nil {
			return nil, err
		}
		if first := seen[key]; first > 0 {
			return nil, fmt.Errorf("line %d: %s is there twice, first in line %d: leave one of them out", n.Content[i].Line, key, first)
		}
		seen[key] = n.Content[i].Line
		value, err := scalar(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		values = append(values, key+"="+value)
	}
	return values, nil
}

func scalar(n *yaml.Node) (string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", fmt.Errorf("line %d: use a single value here", n.Line)
	case n.ShortTag() == "!!null":
		return "", fmt.Errorf("line %d: there is no value: give one, or leave the key out", n.Line)
	}
	return n.Value, nil
}

func isRepeated(v flag.Value) bool { _, ok := v.(*originFlag); return ok }
func isList(v flag.Value) bool     { _, ok := v.(*listFlag); return ok }

// An originFlag is the URLs of origins by the hosts of requests. It is given as often as there are any.
type originFlag struct {
	byHost map[string]string // "*": all other hosts
	twice  string            // a host that is given twice
}

// Set takes a URL, or host=URL. It has no error, which would have the value in it, and that perhaps a password.
func (f *originFlag) Set(s string) error {
	host, raw, ok := strings.Cut(s, "=")
	if !ok || strings.ContainsAny(host, "/") {
		host, raw = "*", s
	}
	if _, ok := f.byHost[host]; ok {
		f.twice = host
	}
	if f.byHost == nil {
		f.byHost = make(map[string]string)
	}
	f.byHost[host] = raw
	return nil
}

func (f *originFlag) String() string { return "" }
