"""Finer names than tissues: every structure of the model and the tissue it consists of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Structure:
    """One entry of the structure map.

    Attributes:
        name: as an anatomist says it.
        tissue: its tissue of tissues.csv.
        listed: named in the labelled montage.
    """

    name: str
    tissue: str
    listed: bool = True


def _structures() -> tuple[Structure, ...]:
    rows: list[tuple[str, str] | tuple[str, str, bool]] = [
        ("background", "air", False),
        ("skin", "skin"),
        ("subcutaneous fat", "fat_subcutaneous"),
        ("deep neck and facial fat", "fat_subcutaneous"),
        # Skull, face and spine.
        ("outer table", "cortical_bone"),
        ("diploe", "marrow_fatty"),
        ("inner table", "cortical_bone"),
        ("skull base cortex", "cortical_bone"),
        ("skull base marrow", "marrow_red_or_young_clivus"),
        ("clivus cortex", "cortical_bone", False),
        ("clivus", "marrow_red_or_young_clivus"),
        ("petrous bone", "cortical_bone"),
        ("mastoid air cells", "air"),
        ("pterygoid process", "cortical_bone"),
        ("pterygoid marrow", "marrow_fatty", False),
        ("facial bone", "cortical_bone", False),
        ("zygoma", "marrow_fatty"),
        ("maxilla", "marrow_fatty"),
        ("hard palate", "cortical_bone"),
        ("mandible cortex", "cortical_bone", False),
        ("mandible", "marrow_fatty"),
        ("teeth", "cortical_bone"),
        ("vertebral cortex", "cortical_bone", False),
        ("cervical vertebra", "marrow_red_or_young_clivus"),
        ("intervertebral disc", "disc_normal"),
        ("hyoid bone", "cortical_bone"),
        ("laryngeal cartilage", "cartilage"),
        ("nasal cartilage", "cartilage", False),
        # Intracranial.
        ("dura", "dura"),
        ("subarachnoid CSF", "CSF"),
        ("sulcal CSF", "CSF", False),
        ("cortex", "grey_matter"),
        ("white matter", "white_matter"),
        ("lateral ventricle", "CSF"),
        ("third ventricle", "CSF"),
        ("fourth ventricle", "CSF"),
        ("caudate", "caudate"),
        ("putamen", "putamen"),
        ("pallidum", "pallidum"),
        ("thalamus", "thalamus"),
        ("hippocampus", "grey_matter"),
        ("red nucleus", "dentate_red_nucleus_SN", False),
        ("dentate nucleus", "dentate_red_nucleus_SN", False),
        ("insula", "grey_matter"),
        ("corpus callosum", "white_matter"),
        ("cerebellar cortex", "cerebellar_GM"),
        ("cerebellar white matter", "cerebellar_WM"),
        ("brainstem", "brainstem"),
        ("choroid plexus", "choroid_plexus"),
        ("pituitary", "pituitary_anterior"),
        ("posterior pituitary", "pituitary_posterior", False),
        ("optic chiasm", "optic_nerve", False),
        ("cavernous sinus", "blood_venous"),
        ("venous sinus", "blood_venous"),
        # Orbit.
        ("vitreous", "vitreous"),
        ("lens", "lens"),
        ("sclera", "dura", False),
        ("optic nerve", "optic_nerve"),
        ("extra-ocular muscle", "extraocular_muscle"),
        ("orbital fat", "orbital_fat"),
        # Nose and sinuses.
        ("nasal airway", "air"),
        ("turbinate", "nasal_turbinate_mucosa"),
        ("nasal mucosa", "nasal_turbinate_mucosa", False),
        ("nasal septum", "cartilage"),
        ("maxillary sinus", "air"),
        ("sphenoid sinus", "air"),
        ("ethmoid sinus", "air"),
        ("frontal sinus", "air"),
        ("sinus mucosa", "nasopharyngeal_mucosa", False),
        ("sinus mucus", "mucus_watery_or_effusion", False),
        ("inspissated sinus mucus", "mucus_inspissated", False),
        # Pharynx and mouth.
        ("nasopharyngeal airway", "air"),
        ("fossa of Rosenmueller", "air"),
        ("nasopharyngeal mucosa", "nasopharyngeal_mucosa"),
        ("torus tubarius", "cartilage"),
        ("adenoid", "adenoid_tonsil"),
        ("palatine tonsil", "adenoid_tonsil"),
        ("levator veli palatini", "muscle", False),
        ("tensor veli palatini", "muscle", False),
        ("soft palate", "tongue"),
        ("oropharyngeal airway", "air"),
        ("oropharyngeal mucosa", "nasopharyngeal_mucosa", False),
        ("hypopharyngeal airway", "air"),
        ("hypopharyngeal mucosa", "nasopharyngeal_mucosa", False),
        ("tongue", "tongue"),
        ("floor of mouth muscle", "muscle", False),
        ("oral cavity air", "air", False),
        ("facial muscle", "muscle", False),
        # Muscles, fat spaces and glands.
        ("masseter", "muscle"),
        ("medial pterygoid", "muscle"),
        ("lateral pterygoid", "muscle"),
        ("temporalis", "muscle"),
        ("prevertebral muscle", "muscle"),
        ("paraspinal muscle", "muscle"),
        ("sternocleidomastoid", "muscle"),
        ("trapezius", "muscle", False),
        ("scalene muscle", "muscle", False),
        ("strap muscle", "muscle", False),
        ("digastric muscle", "muscle", False),
        ("parapharyngeal fat", "parapharyngeal_fat"),
        ("pterygopalatine fossa", "parapharyngeal_fat", False),
        ("buccal fat", "fat_subcutaneous", False),
        ("parotid", "parotid"),
        ("submandibular gland", "submandibular"),
        ("thyroid gland", "thyroid"),
        ("auricle", "cartilage", False),
        ("ear canal", "air", False),
        # Spine and vessels.
        ("spinal CSF", "CSF"),
        ("spinal cord", "spinal_cord"),
        ("carotid artery", "blood_arterial"),
        ("vertebral artery", "blood_arterial"),
        ("cerebral artery", "blood_arterial"),
        ("facial vessel", "blood_venous", False),
        ("jugular vein", "blood_venous"),
        # Nodes and disease.
        ("benign node", "lymph_node_normal"),
        ("NPC", "NPC"),
        ("NPC necrosis", "NPC_necrosis", False),
        *[
            (f"N level {level} node", "lymph_node_metastatic", level == "II")
            for level in ("RP", "IB", "II", "III", "IV", "V", "SCF", "parotid")
        ],
        ("node necrosis", "lymph_node_necrosis", False),
    ]
    return tuple(Structure(*row) for row in rows)


STRUCTURES: tuple[Structure, ...] = _structures()
STRUCTURE_NAMES: tuple[str, ...] = tuple(structure.name for structure in STRUCTURES)
_INDEX = {name: index for index, name in enumerate(STRUCTURE_NAMES)}


def structure_index(name: str) -> int:
    """Value of a structure in `Anatomy.structures`; KeyError for an unknown name."""
    return _INDEX[name]
