// Checks queries by Microsoft's own language service. Reads a list of {query, tables, functions} as JSON from standard input, and
// writes the diagnostics of each query: a list of texts. The first argument is the folder of the package @kusto/language-service-next.
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const folder = process.argv[2];
for (const file of ["bridge.min.js", "Kusto.Language.Bridge.min.js"]) {
    vm.runInThisContext(fs.readFileSync(path.join(folder, file), "utf8"), file);
}
const { Symbols, GlobalState, KustoCode } = Kusto.Language;
const table = ([name, columns]) => new Symbols.TableSymbol.$ctor7(name, columns);
const func = ([name, [parameters, body]]) => new Symbols.FunctionSymbol.$ctor16(name, parameters, body, null);

const diagnosticsOf = ({ query, tables, functions }) => {
    const members = [...Object.entries(tables).map(table), ...Object.entries(functions).map(func)];
    const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("db", members));
    const found = KustoCode.ParseAndAnalyze(query, globals).GetDiagnostics();
    return [...Array(found.Count).keys()].map((index) => found.getItem(index).Message);
};
process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, "utf8")).map(diagnosticsOf)));
