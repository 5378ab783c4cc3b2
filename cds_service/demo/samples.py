"""The sample patients as data: what each one's chart has that the usual chart has not, and what the plan should say.

All of them are invented. Dates count back from the day that the demo starts, so that every window stays true.
"""

from collections.abc import Mapping

from msgspec import Struct, field

from cds_service.demo.usual import UNTREATED, Answer, Result


class Sample(Struct, frozen=True, kw_only=True):
    """One patient. `results` and `answers` are laid over the usual ones of the drug; None takes one away."""

    id: str
    given: str
    title: str
    text: str
    drug: str
    expected_outcome: str | None  # None: no policy here governs the drug, so there is no card
    years: int = 34
    weight: str = "80.5"
    plan: str = "commercial"
    results: Mapping[str, Result | None] = field(default_factory=dict)
    answers: Mapping[str, Answer | None] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    on_demand: bool = False
    had_gene_therapy: bool = False
    drug_by_reference: bool = False
    failing: tuple[str, ...] = ()  # resource types whose searches answer with an error


SAMPLES: tuple[Sample, ...] = (
    Sample(
        id="demo-hemgenix-met",
        given="Alder",
        title="Hemgenix: everything in place",
        text="Hemophilia B with every test and statement that the plan asks for, all recent enough.",
        drug="hemgenix",
        expected_outcome="criteria-met",
    ),
    Sample(
        id="demo-roctavian-met",
        given="Rowan",
        title="Roctavian: everything in place",
        text="Severe hemophilia A, no AAV5 antibodies, and every test recent enough.",
        drug="roctavian",
        expected_outcome="criteria-met",
        years=41,
        weight="72",
        plan="exchange",
    ),
    Sample(
        id="demo-labs-missing",
        given="Aspen",
        title="Screening tests not done yet",
        text="The history is complete, but hepatitis, HIV, platelets and liver have not been tested.",
        drug="hemgenix",
        expected_outcome="documentation-missing",
        years=28,
        weight="69.5",
        results=dict.fromkeys(("hbsag", "anti-hbc", "anti-hcv", "hiv", "platelets", "liver")),
    ),
    Sample(
        id="demo-one-day-late",
        given="Cedar",
        title="A platelet count one day too old",
        text="The platelet count is good, but it was taken three months and a day ago.",
        drug="hemgenix",
        expected_outcome="documentation-missing",
        years=52,
        weight="88",
        results={"platelets": Result("platelets", "198", months=3, days=1)},
    ),
    Sample(
        id="demo-platelets-low",
        given="Linden",
        title="Platelets just below the limit",
        text="The newest platelet count is 49; the plan asks for 50 or more.",
        drug="hemgenix",
        expected_outcome="criteria-not-met",
        years=47,
        weight="76",
        results={"platelets": Result("platelets", "49", days=9)},
    ),
    Sample(
        id="demo-factor-above-limit",
        given="Birch",
        title="Factor IX just above the limit",
        text="The only untreated factor IX level on record is 2.1 %; the plan asks for 2 % or less.",
        drug="hemgenix",
        expected_outcome="criteria-not-met",
        years=39,
        weight="91.5",
        plan="medicaid",
        results={
            "baseline": Result(
                "factor-ix", "2.1", months=97, text="Factor IX activity, untreated baseline", note=UNTREATED
            )
        },
    ),
    Sample(
        id="demo-inhibitor-history",
        given="Maple",
        title="An inhibitor years ago",
        text="A factor IX inhibitor was found six years ago; the newest test is negative.",
        drug="hemgenix",
        expected_outcome="criteria-not-met",
        years=31,
        weight="70",
        results={"past-inhibitor": Result("inhibitor-ix", "1.8", months=74)},
        answers={"q.inhibitor_history": True},
    ),
    Sample(
        id="demo-records-disagree",
        given="Hawthorn",
        title="Records that contradict each other",
        text="The HIV screen is negative, yet the problem list has an HIV infection.",
        drug="hemgenix",
        expected_outcome="needs-review",
        years=45,
        weight="83",
        problems=("hiv",),
    ),
    Sample(
        id="demo-hepatitis-b",
        given="Juniper",
        title="Hepatitis B surface antigen positive",
        text="The hepatitis B surface antigen came back positive two weeks ago.",
        drug="roctavian",
        expected_outcome="criteria-not-met",
        years=36,
        weight="64",
        results={"hbsag": Result("hbsag", "Positive", days=14)},
    ),
    Sample(
        id="demo-results-unreadable",
        given="Laurel",
        title="Test results cannot be read",
        text="The chart is complete, but the record system fails whenever test results are asked for.",
        drug="hemgenix",
        expected_outcome="undetermined",
        years=33,
        weight="78",
        failing=("Observation",),
    ),
    Sample(
        id="demo-federal-plan",
        given="Sorrel",
        title="A plan that this policy does not cover",
        text="The member is in the Federal Employee Program, to which the policy does not apply.",
        drug="hemgenix",
        expected_outcome="policy-not-applicable",
        years=50,
        weight="85",
        plan="federal",
    ),
    Sample(
        id="demo-other-drug",
        given="Willow",
        title="A drug without a policy here",
        text="A usual order for factor IX, which none of these policies is about.",
        drug="benefix",
        expected_outcome=None,
        years=26,
        weight="74",
        on_demand=True,
    ),
    Sample(
        id="demo-sixteen",
        given="Ash",
        title="Sixteen years old",
        text="Everything else is in place, but the patient is 16; the plan asks for 18 or older.",
        drug="hemgenix",
        expected_outcome="criteria-not-met",
        years=16,
        weight="61",
        plan="child-health-plus",
        answers={"q.exposure_days": 260, "q.prophylaxis.detail": "Alprolix once a week for five years."},
    ),
    Sample(
        id="demo-second-gene-therapy",
        given="Elm",
        title="Gene therapy already given",
        text="Hemgenix was infused two years ago; the plan does not pay for a second gene therapy.",
        drug="hemgenix",
        expected_outcome="criteria-not-met",
        years=44,
        weight="79",
        problems=("gene-therapy",),
        had_gene_therapy=True,
        answers={"q.prior_gene_therapy": True},
    ),
    Sample(
        id="demo-three-reports",
        given="Hickory",
        title="Three reports from elsewhere",
        text="AAV5, inhibitor and liver were tested in another hospital, whose reports are not in the chart.",
        drug="hemgenix",
        expected_outcome="documentation-missing",
        years=29,
        weight="73.5",
        results=dict.fromkeys(("aav5", "inhibitor", "liver")),
    ),
    Sample(
        id="demo-medicare-advantage",
        given="Cypress",
        title="A Medicare Advantage member",
        text="All criteria are met; national and local Medicare rules come before the plan's own.",
        drug="roctavian",
        expected_outcome="criteria-met",
        years=67,
        weight="80",
        plan="medicare-advantage",
        drug_by_reference=True,
    ),
    Sample(
        id="demo-on-demand",
        given="Tamarack",
        title="Treated on demand only",
        text="Factor IX only when a bleed happens, so the 150 exposure days are not asked for.",
        drug="hemgenix",
        expected_outcome="criteria-met",
        years=55,
        weight="95",
        on_demand=True,
        results={"trough": None},
        answers={
            "q.bleeds": None,
            "q.bleeds.detail": None,
            "q.prophylaxis": False,
            "q.prophylaxis.detail": "Factor IX on demand only.",
            "q.exposure_days": None,
            "q.reason": "A life-threatening bleed on treatment on demand.",
        },
    ),
)
