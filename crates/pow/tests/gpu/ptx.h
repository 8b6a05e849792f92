// Runs PTX on a CPU: as much of it as our kernels use, slowly. The 32 lanes of a warp each have their place in the code; those
// that are furthest behind go next, together, so that lanes which parted meet again. An instruction that is not known here
// stops the test and is named: it wants a line in `instructions`, by the PTX ISA manual of NVIDIA.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace ptx {

[[noreturn]] inline void fail(const std::string &why) {
    fprintf(stderr, "emulated PTX: %s\n", why.c_str());
    abort();
}

const int LANES = 32;

struct Operand {
    // Register number; less than zero for a value that is known when decoding.
    int reg = -1;
    // That value, or what is added to the register where the operand is an address.
    uint64_t value = 0;
};

struct Step;

struct Instruction {
    void (*run)(Step &);
    int guard = -1;
    bool negated = false, shuffles = false;
    // Registers of vectors and pairs stand here one by one, in the order of the text.
    std::vector<Operand> operands;
    // Where a branch leads.
    size_t target = 0;
};

// What a launch may touch.
struct Launch {
    std::function<bool(uint64_t, size_t)> inside;
    void **parameters;
    unsigned blocks, threads;
};

class Kernel {
public:
    // Decodes entry `name` of a module.
    Kernel(const std::string &module, const std::string &name) {
        size_t entry = module.find(".visible .entry " + name + "(");
        if (entry == module.npos) fail("no entry " + name);
        tables(module.substr(0, module.find(".visible .entry")));
        size_t body = module.find(")", entry);
        declared(module.substr(entry, body - entry));
        decode(module.substr(body, module.find("\n}", body) - body));
    }

    void run(const Launch &launch) {
        std::vector<char> given(parameter_bytes);
        for (size_t i = 0; i < parameter_places.size(); i++)
            memcpy(&given[parameter_places[i].first], launch.parameters[i], parameter_places[i].second);
        for (unsigned block = 0; block < launch.blocks; block++)
            for (unsigned first = 0; first < launch.threads; first += LANES) warp(launch, given, block, first);
    }

private:
    friend struct Step;
    friend const std::map<std::string, void (*)(Step &)> &instructions();
    static const size_t ENDED = ~(size_t)0;

    std::vector<Instruction> code;
    std::map<std::string, int> registers;
    int tid = register_of("%tid.x"), ntid = register_of("%ntid.x"), ctaid = register_of("%ctaid.x");
    std::map<std::string, size_t> parameter_names;
    // Offset and size of each parameter.
    std::vector<std::pair<size_t, size_t>> parameter_places;
    size_t parameter_bytes = 0;
    // Constant tables by name.
    std::map<std::string, std::vector<unsigned char>> constants;

    // State of the warp that runs.
    std::vector<uint64_t> values;
    size_t places[LANES];

    // `.const` and `.global` arrays with their bytes written out.
    void tables(const std::string &text) {
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            size_t bracket = line.find('['), brace = line.find("= {");
            if (bracket == line.npos || brace == line.npos) continue;
            size_t start = line.rfind(' ', bracket) + 1;
            auto &bytes = constants[line.substr(start, bracket - start)];
            std::istringstream list(line.substr(brace + 3));
            for (std::string byte; std::getline(list, byte, ',');) bytes.push_back(strtoul(byte.c_str(), nullptr, 10));
        }
    }

    // `.param .u32 NAME` or `.param .align 4 .b8 NAME[84]`.
    void declared(const std::string &text) {
        std::istringstream words(text);
        size_t align = 0;
        for (std::string word; words >> word;) {
            if (word == ".align") words >> align;
            if (word != ".u32" && word != ".u64" && word != ".b8") continue;
            size_t bytes = word == ".u32" ? 4 : 8;
            words >> word;
            size_t bracket = word.find('[');
            if (bracket != word.npos)
                bytes = strtoul(word.c_str() + bracket + 1, nullptr, 10);
            else
                align = bytes;
            parameter_bytes = (parameter_bytes + align - 1) / align * align;
            parameter_names[word.substr(0, word.find_first_of("[,"))] = parameter_bytes;
            parameter_places.push_back({parameter_bytes, bytes});
            parameter_bytes += bytes;
        }
    }

    void decode(const std::string &text) {
        std::map<std::string, size_t> labels;
        std::map<size_t, std::string> branches;
        std::istringstream lines(text.substr(1));
        for (std::string line; std::getline(lines, line);) {
            size_t start = line.find_first_not_of(" \t");
            if (start == line.npos) continue;
            line = line.substr(start);
            if (line[0] == '$') {
                labels[line.substr(0, line.find(':'))] = code.size();
                continue;
            }
            if (strchr("./{}", line[0]) && line.find("mov.b64") == line.npos) continue;
            instruction(line, branches);
        }
        for (auto &branch : branches) code[branch.first].target = labels.at(branch.second);
    }

    void instruction(std::string line, std::map<size_t, std::string> &branches);

    Operand operand(std::string word) {
        Operand made;
        if (word[0] == '[') word = word.substr(1, word.size() - 2);
        size_t plus = word.find('+');
        if (plus != word.npos) {
            made.value = strtoull(word.c_str() + plus + 1, nullptr, 0);
            word = word.substr(0, plus);
        }
        if (word[0] == '%')
            made.reg = register_of(word);
        else if (parameter_names.count(word))
            made.value += parameter_names[word];
        else if (constants.count(word))
            made.value += (uint64_t)constants[word].data();
        else
            made.value = strtoull(word.c_str(), nullptr, 0);
        return made;
    }

    int register_of(const std::string &name) {
        auto known = registers.find(name);
        return known != registers.end() ? known->second : registers[name] = registers.size();
    }

    void warp(const Launch &launch, const std::vector<char> &given, unsigned block, unsigned first);

    uint64_t value(const Operand &of, int lane) const {
        return of.reg < 0 ? of.value : values[of.reg * LANES + lane] + of.value;
    }

    uint64_t constant(uint64_t address) const {
        for (auto &table : constants) {
            uint64_t start = (uint64_t)table.second.data(), read;
            if (address - start + 8 > table.second.size()) continue;
            memcpy(&read, (const void *)address, 8);
            return read;
        }
        fail("a bad constant address");
    }
};

// One instruction in one lane.
struct Step {
    Kernel &kernel;
    const Instruction &now;
    int lane;
    const Launch &launch;
    const std::vector<char> &given;
    const uint64_t *put_down;

    uint64_t v(int i) const { return kernel.value(now.operands[i], lane); }
    uint32_t w(int i) const { return (uint32_t)v(i); }
    void set(uint64_t result, int i = 0) { kernel.values[now.operands[i].reg * LANES + lane] = result; }
    void set32(uint32_t result, int i = 0) { set(result, i); }

    uint32_t *global(int i, size_t words) const {
        uint64_t address = v(i);
        if (address % (4 * words) || !launch.inside(address, 4 * words)) fail("a bad address");
        return (uint32_t *)address;
    }

    // `words` words of the parameters, at operand `words`, into the operands before it.
    void load_parameters(int words) {
        for (int i = 0; i < words; i++) {
            uint32_t word;
            if (v(words) + 4 * i + 4 > given.size()) fail("a bad parameter");
            memcpy(&word, &given[v(words) + 4 * i], 4);
            set(word, i);
        }
    }
};

inline const std::map<std::string, void (*)(Step &)> &instructions() {
    typedef Step S;
    static const std::map<std::string, void (*)(Step &)> known = {
        {"xor.b32", [](S &s) { s.set32(s.w(1) ^ s.w(2)); }},
        {"and.b32", [](S &s) { s.set32(s.w(1) & s.w(2)); }},
        {"or.b32", [](S &s) { s.set32(s.w(1) | s.w(2)); }},
        {"not.b32", [](S &s) { s.set32(~s.w(1)); }},
        {"add.s32", [](S &s) { s.set32(s.w(1) + s.w(2)); }},
        {"sub.s32", [](S &s) { s.set32(s.w(1) - s.w(2)); }},
        {"mul.lo.s32", [](S &s) { s.set32(s.w(1) * s.w(2)); }},
        {"mad.lo.s32", [](S &s) { s.set32(s.w(1) * s.w(2) + s.w(3)); }},
        {"mul.hi.u32", [](S &s) { s.set32((uint64_t)s.w(1) * s.w(2) >> 32); }},
        {"min.u32", [](S &s) { s.set32(std::min(s.w(1), s.w(2))); }},
        {"shl.b32", [](S &s) { s.set32(s.w(2) < 32 ? s.w(1) << s.w(2) : 0); }},
        {"shr.u32", [](S &s) { s.set32(s.w(2) < 32 ? s.w(1) >> s.w(2) : 0); }},
        {"shf.l.wrap.b32", [](S &s) { s.set32(((uint64_t)s.w(2) << 32 | s.w(1)) << (s.w(3) & 31) >> 32); }},
        {"shf.r.wrap.b32", [](S &s) { s.set32(((uint64_t)s.w(2) << 32 | s.w(1)) >> (s.w(3) & 31)); }},
        {"selp.b32", [](S &s) { s.set32(s.v(3) ? s.w(1) : s.w(2)); }},
        {"prmt.b32",
         [](S &s) {
             uint64_t bytes = (uint64_t)s.w(2) << 32 | s.w(1);
             uint32_t result = 0;
             for (int i = 0; i < 4; i++) result |= (uint32_t)(bytes >> 8 * (s.w(3) >> 4 * i & 7) & 0xff) << 8 * i;
             s.set32(result);
         }},
        {"xor.b64", [](S &s) { s.set(s.v(1) ^ s.v(2)); }},
        {"and.b64", [](S &s) { s.set(s.v(1) & s.v(2)); }},
        {"or.b64", [](S &s) { s.set(s.v(1) | s.v(2)); }},
        {"not.b64", [](S &s) { s.set(~s.v(1)); }},
        {"add.s64", [](S &s) { s.set(s.v(1) + s.v(2)); }},
        {"mul.wide.u32", [](S &s) { s.set((uint64_t)s.w(1) * s.w(2)); }},
        {"mul.wide.s32", [](S &s) { s.set((int64_t)(int32_t)s.w(1) * (int32_t)s.w(2)); }},
        {"shl.b64", [](S &s) { s.set(s.w(2) < 64 ? s.v(1) << s.w(2) : 0); }},
        {"shr.u64", [](S &s) { s.set(s.w(2) < 64 ? s.v(1) >> s.w(2) : 0); }},
        {"bfi.b64",
         [](S &s) {
             uint64_t field = (s.w(4) < 64 ? (uint64_t)1 << s.w(4) : 0) - 1;
             s.set((s.v(2) & ~(field << s.w(3))) | (s.v(1) & field) << s.w(3));
         }},
        {"mov.b64 join", [](S &s) { s.set((uint64_t)s.w(2) << 32 | s.w(1)); }},
        {"mov.b64 split",
         [](S &s) {
             uint64_t whole = s.v(2);
             s.set((uint32_t)whole, 0);
             s.set(whole >> 32, 1);
         }},
        {"mov.u32", [](S &s) { s.set32(s.w(1)); }},
        {"mov.u64", [](S &s) { s.set(s.v(1)); }},
        {"cvt.u32.u64", [](S &s) { s.set32(s.w(1)); }},
        {"cvt.u64.u32", [](S &s) { s.set(s.w(1)); }},
        {"cvta.to.global.u64", [](S &s) { s.set(s.v(1)); }},
        {"or.pred", [](S &s) { s.set(s.v(1) || s.v(2)); }},
        {"setp.eq.s32", [](S &s) { s.set(s.w(1) == s.w(2)); }},
        {"setp.ne.s32", [](S &s) { s.set(s.w(1) != s.w(2)); }},
        {"setp.lt.u32", [](S &s) { s.set(s.w(1) < s.w(2)); }},
        {"setp.gt.u32", [](S &s) { s.set(s.w(1) > s.w(2)); }},
        {"setp.ge.u32", [](S &s) { s.set(s.w(1) >= s.w(2)); }},
        {"setp.gt.u64", [](S &s) { s.set(s.v(1) > s.v(2)); }},
        {"shfl.sync.idx.b32",
         [](S &s) {
             // The upper byte of operand 4 says which bits of a lane's number name its group.
             unsigned groups = s.w(4) >> 8 & 31, from = (s.lane & groups) | (s.w(3) & ~groups & 31);
             if ((s.w(4) & 31) != 31 || s.w(5) != 0xffffffff) fail("a shuffle of some lanes");
             s.set32((uint32_t)s.put_down[from]);
             s.set(1, 1);
         }},
        {"ld.param.u32", [](S &s) { s.load_parameters(1); }},
        {"ld.param.v2.u32", [](S &s) { s.load_parameters(2); }},
        {"ld.param.u64",
         [](S &s) {
             uint64_t read;
             if (s.v(1) + 8 > s.given.size()) fail("a bad parameter");
             memcpy(&read, &s.given[s.v(1)], 8);
             s.set(read);
         }},
        {"ld.const.u64", [](S &s) { s.set(s.kernel.constant(s.v(1))); }},
        {"ld.global.nc.v4.u32",
         [](S &s) {
             const uint32_t *from = s.global(4, 4);
             for (int i = 0; i < 4; i++) s.set(from[i], i);
         }},
        {"st.global.v4.u32",
         [](S &s) {
             uint32_t *to = s.global(0, 4);
             for (int i = 0; i < 4; i++) to[i] = s.w(i + 1);
         }},
        {"st.global.u32", [](S &s) { *s.global(0, 1) = s.w(1); }},
        {"atom.global.add.u32",
         [](S &s) {
             uint32_t *place = s.global(1, 1), more = s.w(2);
             s.set(*place);
             *place += more;
         }},
        {"bra", [](S &s) { s.kernel.places[s.lane] = s.now.target; }},
        {"bra.uni", [](S &s) { s.kernel.places[s.lane] = s.now.target; }},
        {"ret", [](S &s) { s.kernel.places[s.lane] = Kernel::ENDED; }},
    };
    return known;
}

inline void Kernel::instruction(std::string line, std::map<size_t, std::string> &branches) {
    // The two forms of this one differ in where the pair stands.
    bool joins = line.find('{') != line.npos && line.find('{') > line.find(',');
    for (char &letter : line)
        if (strchr(",;|{}", letter)) letter = ' ';
    std::istringstream words(line);
    Instruction made;
    std::string name;
    words >> name;
    if (name[0] == '@') {
        made.negated = name[1] == '!';
        made.guard = register_of(name.substr(made.negated ? 2 : 1));
        words >> name;
    }
    for (std::string word; words >> word;) {
        if (word[0] == '$')
            branches[code.size()] = word;
        else
            made.operands.push_back(operand(word));
    }
    made.shuffles = name == "shfl.sync.idx.b32";
    if (name == "mov.b64") name += joins ? " join" : " split";
    auto known = instructions().find(name);
    if (known == instructions().end()) fail("unknown instruction " + name);
    made.run = known->second;
    code.push_back(made);
}

inline void Kernel::warp(const Launch &launch, const std::vector<char> &given, unsigned block, unsigned first) {
    // What a program reads before it writes it is undefined; a pattern shows such mistakes.
    values.assign(registers.size() * LANES, 0xa5a5a5a5a5a5a5a5);
    for (int lane = 0; lane < LANES; lane++) {
        places[lane] = 0;
        values[tid * LANES + lane] = first + lane;
        values[ntid * LANES + lane] = launch.threads;
        values[ctaid * LANES + lane] = block;
    }
    for (;;) {
        size_t place = *std::min_element(places, places + LANES);
        if (place == ENDED) return;
        if (place >= code.size()) fail("ran past the end");
        const Instruction &now = code[place];
        uint64_t put_down[LANES];
        for (int lane = 0; now.shuffles && lane < LANES; lane++) {
            if (places[lane] != place) fail("not all lanes take part in a shuffle");
            put_down[lane] = value(now.operands[2], lane);
        }
        for (int lane = 0; lane < LANES; lane++) {
            if (places[lane] != place) continue;
            places[lane]++;
            if (now.guard >= 0 && (values[now.guard * LANES + lane] != 0) == now.negated) continue;
            Step step{*this, now, lane, launch, given, put_down};
            now.run(step);
        }
    }
}

} // namespace ptx
