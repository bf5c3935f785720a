// Oracle answers what Kubernetes itself says of CEL device selectors: the library that API server and
// scheduler are built on, asked by JSON lines. One request a line on standard input, one answer a line out.
package main

import (
	"context"
	"fmt"

	"dracore.dev/oracle/frame"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/util/compatibility"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/dynamic-resource-allocation/cel"
)

// input is one expression, its environment and the devices that it is asked about.
type input struct {
	Expression string   `json:"expression"`
	New        bool     `json:"new"`     // the environment of new expressions, else of stored ones
	Version    string   `json:"version"` // compatibility version of new expressions, "1.36"; empty: the library's
	Consumable bool     `json:"consumable"`
	Lists      bool     `json:"lists"`
	Derived    bool     `json:"derived"` // the expression of a derived attribute (KEP-6080)
	Devices    []device `json:"devices"`
}

type device struct {
	Driver                   string                                                    `json:"driver"`
	AllowMultipleAllocations *bool                                                     `json:"allowMultipleAllocations"`
	Attributes               map[resourceapi.QualifiedName]resourceapi.DeviceAttribute `json:"attributes"`
	Capacity                 map[resourceapi.QualifiedName]resourceapi.DeviceCapacity  `json:"capacity"`
}

type answer struct {
	Error   string  `json:"error,omitempty"` // it does not compile
	Type    string  `json:"type,omitempty"`
	Static  uint64  `json:"static,omitempty"` // worst case, from declared sizes
	Matches []match `json:"matches,omitempty"`
}

type match struct {
	Match bool `json:"match,omitempty"`
	// Value is a derived attribute, in the form of a published one.
	Value *resourceapi.DeviceAttribute `json:"value,omitempty"`
	Error string                       `json:"error,omitempty"`
	Cost  *uint64                      `json:"cost,omitempty"`
}

func ask(in input) answer {
	kind := environment.StoredExpressions
	if in.New {
		kind = environment.NewExpressions
	}
	use(in.Version)
	features := cel.Features{EnableConsumableCapacity: in.Consumable, EnableListTypeAttributes: in.Lists}
	result := cel.GetCompiler(features).CompileCELExpression(in.Expression, cel.Options{EnvType: &kind, DerivedAttribute: in.Derived})
	if result.Error != nil {
		return answer{Error: result.Error.Detail, Static: result.MaxCost}
	}
	out := answer{Type: result.OutputType.String(), Static: result.MaxCost}
	for _, d := range in.Devices {
		if in.Derived {
			out.Matches = append(out.Matches, derive(result, d))
		} else {
			out.Matches = append(out.Matches, evaluate(result, d))
		}
	}
	return out
}

func evaluate(result cel.CompilationResult, d device) (out match) {
	defer func() {
		if fault := recover(); fault != nil {
			out = match{Error: fmt.Sprintf("panic: %v", fault)}
		}
	}()
	matches, details, err := result.DeviceMatches(context.Background(), cel.Device(d))
	out.Match = matches
	if details != nil {
		out.Cost = details.ActualCost()
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

func derive(result cel.CompilationResult, d device) (out match) {
	defer func() {
		if fault := recover(); fault != nil {
			out = match{Error: fmt.Sprintf("panic: %v", fault)}
		}
	}()
	value, details, err := result.EvaluateDerivedAttribute(context.Background(), cel.Device(d))
	out.Value = value
	if details != nil {
		out.Cost = details.ActualCost()
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

var effective = func() basecompatibility.MutableEffectiveVersion {
	v, _ := compatibility.DefaultComponentGlobalsRegistry.ComponentGlobalsOrRegister(
		basecompatibility.DefaultKubeComponent, compatibility.DefaultBuildEffectiveVersion(), nil)
	return v.(basecompatibility.MutableEffectiveVersion)
}()

var (
	standard = effective.MinCompatibilityVersion()
	current  = standard
)

// use sets the version that new expressions must be compatible with. The library keeps one compiler by
// features, so asking for others in between makes it forget.
func use(text string) {
	wanted := standard
	if text != "" {
		wanted = version.MustParse(text)
	}
	if wanted.EqualTo(current) {
		return
	}
	effective.SetMinCompatibilityVersion(wanted)
	current = wanted
	for _, forget := range []bool{false, true} {
		cel.GetCompiler(cel.Features{EnableConsumableCapacity: forget, EnableListTypeAttributes: forget})
	}
}

func main() {
	frame.Serve(ask, func(reason string) answer { return answer{Error: reason} })
}
